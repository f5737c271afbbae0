package sparkllm.catalyst

import scala.util.control.NonFatal

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._

/** Prompts that a call will send, as far as the statistics of its rows know; no job runs for it.
  *
  * `LLMEval llm('classify', city) <- t`, 5,000 rows, 40 cities (ANALYZE TABLE ... FOR COLUMNS,
  * spark.sql.cbo.enabled) -> `40`; over `SELECT DISTINCT ...` of a list of 12 rows -> `at most 12`; over a Parquet
  * folder -> `unknown`. A number without "at most" is Spark's own estimate, or exact. "per task": equal prompts of
  * different tasks are asked again. */
object ExpectedCalls {
  /** A plan is shown while Spark still works on it, and not every leaf has statistics: no text is worth an error. */
  def apply(e: LLMEval): String = try count(e) catch { case NonFatal(_) => "unknown" }

  private def count(e: LLMEval): String = {
    val child = SourceRows(e)
    // rows that are all different, or come together, meet no equal ones elsewhere
    def apart = unique(e.call, child) || e.order.isDefined || NothingShared(e.call, e.child)
    known(e, child) match {
      case None => "unknown"
      case Some((prompts, once)) => if (once || apart) prompts.toString else s"$prompts per task"
    }
  }

  /** Different prompts that a call has over these rows, where they are expected and no bound; in one task or in all. */
  def expected(e: LLMEval, rows: LogicalPlan): Option[BigInt] =
    try known(e, rows).collect { case (count, _) if count.expected => count.n } catch { case NonFatal(_) => None }

  /** Prompts over these rows, and whether they are as many as the rows. */
  private def known(e: LLMEval, child: LogicalPlan): Option[(ExpectedCount, Boolean)] = {
    // nobody knows how many rows a guard or a limit leaves
    def cut(c: ExpectedCount) = if (e.guard.isDefined || e.limit.isDefined) c.most else c
    val entering = ExpectedRows(child)
    if (!oncePerPrompt) entering.map(r => (cut(r), true))
    else {
      val once = unique(e.call, child)
      val asked = entering.map(r => if (once) r else r.most)
      (asked, prompts(e.call, child)) match {
        case (Some(r), Some(d)) if d.n >= r.n => Some((cut(d.min(r)), true))
        case (_, Some(d)) => Some((cut(d), false))
        case (Some(r), None) => Some((cut(r), true))
        case (None, None) => None
      }
    }
  }

  /** Sampled answers are one for each row, and so is everything where dedup is off. */
  private def oncePerPrompt: Boolean =
    Setting.on("dedup") && Setting(s"${Setting.prefix}temperature", "0").trim.toDouble == 0

  /** No two rows have the same fields. */
  private def unique(call: LLMCall, child: LogicalPlan): Boolean = {
    val fields = ExpressionSet(call.fields)
    child.distinctKeys.exists(_.subsetOf(fields))
  }

  /** The product of the distinct values of all columns that the fields are made of. */
  private def prompts(call: LLMCall, child: LogicalPlan): Option[ExpectedCount] = {
    val columns = AttributeSet(call.fields.flatMap(_.references)).toSeq
    val known = columns.flatMap(child.stats.attributeStats.get)
    val values = known.flatMap(c => c.distinctCount.map { n =>
      // NULL is one more, but for a single column: rows without any field are not asked
      if (columns.size > 1 && !c.nullCount.contains(BigInt(0))) n + 1 else n
    })
    if (values.size < columns.size || !call.fields.forall(_.deterministic)) None
    else Some(ExpectedCount(values.product, expected = columns.size <= 1 && call.fields.forall(same)))
  }

  /** As many values as its column. */
  private def same(e: Expression): Boolean = e.isInstanceOf[Attribute] || e.foldable
}
