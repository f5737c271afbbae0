package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions.{Expression, IntegerLiteral}
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** A call whose answers are read until a limit above is met is evaluated in rounds: few rows first, more only when they
  * did not do.
  *
  * `Limit 3 <- Filter (r = 'a') <- LLMEval r` -> `Limit 3 <- Filter (r = 'a') <- LLMEval r, limit: 3`. Not below what
  * reads all its rows anyway (Sort, Aggregate, an exchange, Join). */
object StopAtLimit extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!Setting.on("stopAtLimit") || !plan.exists(_.isInstanceOf[LLMEval])) plan else mark(plan, None)

  private def mark(plan: LogicalPlan, limit: Option[Int]): LogicalPlan = plan match {
    case l: GlobalLimit => l.mapChildren(mark(_, least(l.limitExpr, limit)))
    case l: LocalLimit => l.mapChildren(mark(_, least(l.limitExpr, limit)))
    case o @ Offset(IntegerLiteral(skipped), _) => o.mapChildren(mark(_, limit.map(n => clamp(n.toLong + skipped))))
    case e: LLMEval => e.copy(limit = limit, child = mark(e.child, limit))
    case p @ (_: Project | _: Filter | _: Union) => p.mapChildren(mark(_, limit))
    case other => other.mapChildren(mark(_, None))
  }

  private def least(e: Expression, limit: Option[Int]): Option[Int] = e match {
    case IntegerLiteral(n) => Some(limit.fold(n)(math.min(_, n)))
    case _ => limit
  }

  private def clamp(n: Long): Int = math.min(n, Int.MaxValue).toInt

  /** Rows of the first round, when `limit` of those that pass the filters are wanted: one in four may well pass, and an
    * engine answers 16 prompts about as fast as one. */
  def firstRows(limit: Int): Int = clamp(math.max(16L, 4L * limit))
}
