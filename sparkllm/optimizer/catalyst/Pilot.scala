package sparkllm.catalyst

import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.execution.SparkPlan

/** Asks the calls that the filters of a cascade take for a few of its rows, each of them for all of these.
  *
  * Its requests are in the query's report and count for its budget; the ledger keeps their answers. A row that fails is
  * one that is not kept, even where the query is to fail: it may be one that a filter would have left out. */
private class Pilot(session: SparkSession, cascade: Cascade) {
  private val conditions = new CascadeOrder(cascade, Nil).conditions
  private val first = cascade.steps.indexWhere(_.isInstanceOf[Ask])
  private val needed = conditions.flatMap(_._2).toSet

  /** What `number` rows of a stage show, about so many. */
  def ask(stage: SparkPlan, number: Int): Evidence = {
    val query = session.sessionState.executePlan(plan(LocalRelation(cascade.base.output, sample(stage, number))))
    val nodes = query.executedPlan.collect { case e: LLMEvalExec => e }
    nodes.foreach(LLMEvalExec.asPilot)
    val kept = query.executedPlan.executeCollect()
    val calls = nodes.map(e => e.result.exprId -> e.call).toMap
    val seen = new Evidence
    nodes.foreach(MeasureQuery.count(_, calls, seen))
    conditions.zipWithIndex.foreach { case ((condition, _), i) =>
      seen.add(condition, calls, kept.length, kept.count(_.getBoolean(i)))
    }
    seen
  }

  private def plan(rows: LogicalPlan): LogicalPlan = {
    val asked = cascade.steps.zipWithIndex.foldLeft(rows) {
      case (child, (Ask(e), i)) if needed(i) => e.copy(call = Pilot.quiet(e.call), child = child)
      case (child, (Keep(condition), i)) if i < first => Filter(condition, child)
      case (child, (Compute(column), _)) if column.references.subsetOf(child.outputSet) =>
        Project(child.output :+ column, child)
      case (child, _) => child
    }
    Project(conditions.zipWithIndex.map { case ((condition, _), i) =>
      Alias(Coalesce(Seq(condition.reduce(And(_, _)), Literal.FalseLiteral)), s"kept$i")()
    }, asked)
  }

  /** As many of each of a few partitions, which are spread over all. */
  private def sample(stage: SparkPlan, number: Int): Seq[InternalRow] = {
    val rows = stage.execute()
    val parts = math.min(rows.getNumPartitions, Pilot.partitions)
    val each = math.ceil(number.toDouble / parts).toInt
    val read = (0 until parts).map(i => i * rows.getNumPartitions / parts)
    val first = (in: Iterator[InternalRow]) => in.take(each).map(_.copy()).toArray
    session.sparkContext.runJob(rows, first, read).toSeq.flatten
  }
}

private object Pilot {
  private val partitions = 8

  private def quiet(call: LLMCall): LLMCall =
    if (call.spec.tellsErrors) call else call.copy(spec = call.spec.copy(onError = Some("null")))
}
