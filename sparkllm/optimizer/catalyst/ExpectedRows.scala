package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions.{And, Expression, IntegerLiteral, IsNotNull}
import org.apache.spark.sql.catalyst.plans.{LeftAnti, LeftSemi}
import org.apache.spark.sql.catalyst.plans.logical._

/** Rows or prompts that nobody has counted yet.
  *
  * @param expected about this many; otherwise this many at most, which may be far more than there are */
case class ExpectedCount(n: BigInt, expected: Boolean) {
  def most: ExpectedCount = copy(expected = false)
  def min(other: ExpectedCount): ExpectedCount =
    if (n < other.n || n == other.n && expected) this else other
  override def toString: String = (if (expected) "" else "at most ") + f"${n.bigInteger}%,d"
}

/** Rows of a plan, as far as its statistics know; no job runs for it.
  *
  * `Range (0, 100)` -> 100; `Filter (id % 10 = 0) <- Range (0, 100)` -> at most 100; a Parquet folder -> None, and
  * below `LIMIT 7` at most 7; a table after ANALYZE, with spark.sql.cbo.enabled -> Spark's own estimate. */
object ExpectedRows {
  def apply(plan: LogicalPlan): Option[ExpectedCount] = plan match {
    case r: LocalRelation => Some(ExpectedCount(r.data.size, expected = true))
    case r: Range => Some(ExpectedCount(r.numElements, expected = true))
    case a: Aggregate if a.groupingExpressions.isEmpty => Some(ExpectedCount(1, expected = true))
    case _: LLMEval | _: Project | _: Sort | _: Window | _: LocalLimit | _: RepartitionOperation |
        _: RebalancePartitions =>
      apply(plan.children.head)
    case GlobalLimit(IntegerLiteral(n), below) =>
      Some(apply(below).fold(ExpectedCount(n, expected = false))(r => r.copy(n = r.n.min(n))))
    // Spark gives the left side's statistics to both
    case Join(left, _, LeftSemi | LeftAnti, _, _) => apply(left).map(_.most)
    case other =>
      def estimated = other.stats.rowCount.map(n => ExpectedCount(n, expected = !unjudged(other, n)))
      def fewer = other match {
        case _: Filter | _: Aggregate | _: Distinct | _: Deduplicate | _: Sample =>
          apply(other.children.head).map(_.most)
        case _ => None
      }
      estimated.orElse(fewer).orElse(other.maxRows.map(n => ExpectedCount(n, expected = n <= 1)))
  }

  /** Of a condition that Spark cannot judge, such as `id % 10 = 0`, its estimate is that all rows pass. */
  private def unjudged(plan: LogicalPlan, n: BigInt): Boolean = plan match {
    case Filter(condition, child) => !nullsOnly(condition) && child.stats.rowCount.forall(_ <= n)
    case _ => false
  }

  private def nullsOnly(condition: Expression): Boolean = condition match {
    case And(left, right) => nullsOnly(left) && nullsOnly(right)
    case other => other.isInstanceOf[IsNotNull]
  }
}
