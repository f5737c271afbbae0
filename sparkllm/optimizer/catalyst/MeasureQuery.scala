package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.trees.TreeNodeTag
import org.apache.spark.sql.execution._
import org.apache.spark.sql.execution.adaptive.AdaptiveSparkPlanHelper

/** After a query: tells Seen what the filters directly above its calls kept, and what requests of its calls took.
  *
  * Not the filters of a query with a LIMIT, which may have stopped early, nor those above a call with a guard, whose
  * other rows have no answer. */
object MeasureQuery extends AdaptiveSparkPlanHelper with PredicateHelper {
  private val counted = TreeNodeTag[Long]("sparkllm.rowsCounted")

  def apply(query: QueryExecution, ran: Seq[LLMEvalExec], succeeded: Boolean): Unit = {
    ran.foreach(count(_, ran.map(e => e.result.exprId -> e.call).toMap, Seen))
    val plan = query.executedPlan
    val full = succeeded && find(plan)(_.isInstanceOf[LimitExec]).isEmpty
    collectWithSubqueries(plan) { case f: FilterExec => f }.foreach { f =>
      val kept = since(f)
      below(f.child).filter(e => full && e.guard.isEmpty && e.limit.isEmpty && ran.exists(_ eq e)).foreach { e =>
        add(f, rows = math.max(e.metrics("rows").value, 0L), kept)
      }
    }
  }

  /** The tokens of a call's requests so far. */
  def count(e: LLMEvalExec, calls: Map[ExprId, LLMCall], into: Evidence): Unit = {
    def counted(key: String) = math.max(e.metrics(key).value, 0L)
    into.add(e.call, calls, counted("requests"), counted("prompt_tokens") - counted("static_tokens"),
      counted("output_tokens"))
  }

  /** Rows since the last query: a DataFrame that is collected again goes on counting. */
  private def since(f: FilterExec): Long = {
    val rows = math.max(f.metrics("numOutputRows").value, 0L)
    val before = f.getTagValue(counted).getOrElse(0L)
    f.setTagValue(counted, rows)
    rows - before
  }

  private def below(plan: SparkPlan): Option[LLMEvalExec] = plan match {
    case e: LLMEvalExec => Some(e)
    case p @ (_: ProjectExec | _: InputAdapter | _: WholeStageCodegenExec | _: InPoolsExec | _: InOnePoolExec) =>
      below(p.children.head)
    case _ => None
  }

  private def add(f: FilterExec, rows: Long, kept: Long): Unit = {
    val calls = collect(f) { case e: LLMEvalExec => e.result.exprId -> e.call }.toMap
    val columns = collect(f) { case p: ProjectExec => p.projectList }.flatten
    val all = splitConjunctivePredicates(f.condition).map(InlineColumns(_, columns))
    val conditions = Selectivity.withoutNullChecks(all)
    val read = conditions.map(_.references.map(_.exprId).filter(calls.contains).toSet).distinct
    // conditions over different answers: nobody knows which dropped a row
    if (read.size == 1 && read.head.nonEmpty) Seen.add(conditions, calls, rows, kept)
  }
}
