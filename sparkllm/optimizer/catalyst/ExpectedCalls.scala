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
  /** @param expected about this many; otherwise this many at most */
  private case class Count(n: BigInt, expected: Boolean) {
    def most: Count = copy(expected = false)
    def min(other: Count): Count = if (n < other.n || n == other.n && expected) this else other
    override def toString: String = (if (expected) "" else "at most ") + f"${n.bigInteger}%,d"
  }

  /** A plan is shown while Spark still works on it, and not every leaf has statistics: no text is worth an error. */
  def apply(e: LLMEval): String =
    try count(e) catch { case NonFatal(_) => "unknown" }

  private def count(e: LLMEval): String = {
    val child = SourceRows(e)
    val entering = rows(child)
    // nobody knows how many rows a guard or a limit leaves
    def cut(c: Count): Count = if (e.guard.isDefined || e.limit.isDefined) c.most else c
    if (!oncePerPrompt) entering.map(cut(_).toString).getOrElse("unknown")
    else {
      val once = unique(e.call, child)
      val asked = entering.map(r => if (once) r else r.most)
      val different = prompts(e.call, child)
      // rows that are all different, or come together, meet no equal ones elsewhere
      val apart = if (once || e.order.isDefined || NothingShared(e.call, e.child)) "" else " per task"
      (asked, different) match {
        case (Some(r), Some(d)) if d.n >= r.n => cut(d.min(r)).toString
        case (_, Some(d)) => s"${cut(d)}$apart"
        case (Some(r), None) => cut(r).toString
        case (None, None) => "unknown"
      }
    }
  }

  /** Sampled answers are one for each row, and so is everything where dedup is off. */
  private def oncePerPrompt: Boolean =
    Setting.on("dedup") && Setting(s"${Setting.prefix}temperature", "0").trim.toDouble == 0

  private def rows(plan: LogicalPlan): Option[Count] = plan match {
    case r: LocalRelation => Some(Count(r.data.size, expected = true))
    case r: Range => Some(Count(r.numElements, expected = true))
    case a: Aggregate if a.groupingExpressions.isEmpty => Some(Count(1, expected = true))
    case _: LLMEval | _: Project | _: Sort | _: Window | _: LocalLimit | _: RepartitionOperation |
        _: RebalancePartitions =>
      rows(plan.children.head)
    case GlobalLimit(IntegerLiteral(n), below) =>
      Some(rows(below).fold(Count(n, expected = false))(r => r.copy(n = r.n.min(n))))
    case other =>
      def estimated = other.stats.rowCount.map(Count(_, expected = true))
      def fewer = other match {
        case _: Filter | _: Aggregate | _: Distinct | _: Deduplicate | _: Sample =>
          rows(other.children.head).map(_.most)
        case _ => None
      }
      estimated.orElse(fewer).orElse(other.maxRows.map(n => Count(n, expected = n <= 1)))
  }

  /** No two rows have the same fields. */
  private def unique(call: LLMCall, child: LogicalPlan): Boolean = {
    val fields = ExpressionSet(call.fields)
    child.distinctKeys.exists(_.subsetOf(fields))
  }

  /** The product of the distinct values of all columns that the fields are made of. */
  private def prompts(call: LLMCall, child: LogicalPlan): Option[Count] = {
    val columns = AttributeSet(call.fields.flatMap(_.references)).toSeq
    val known = columns.flatMap(child.stats.attributeStats.get)
    val values = known.flatMap(c => c.distinctCount.map { n =>
      // NULL is one more, but for a single column: rows without any field are not asked
      if (columns.size > 1 && !c.nullCount.contains(BigInt(0))) n + 1 else n
    })
    if (values.size < columns.size || !call.fields.forall(_.deterministic)) None
    else Some(Count(values.product, expected = columns.size <= 1 && call.fields.forall(same)))
  }

  /** As many values as its column. */
  private def same(e: Expression): Boolean = e.isInstanceOf[Attribute] || e.foldable
}
