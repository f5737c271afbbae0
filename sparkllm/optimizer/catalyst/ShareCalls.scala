package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions.ExprId
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.internal.SQLConf

/** The same call over the same rows, in two places of a query, runs once: both read one exchange.
  *
  * `Join <- (LLMEval <- t, LLMEval <- t)` -> `Join <- (Repartition <- LLMEval <- t, Repartition <- LLMEval <- t)`,
  * whose exchanges Spark finds equal and runs once; so for the branches of a UNION ALL. A CTE needs none of it. Only
  * where nothing below differs: another filter or another column makes them different calls to Spark. Not below a
  * LIMIT, which would then have to wait for all answers. */
object ShareCalls extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!plan.exists(_.isInstanceOf[LLMEval]) || !Setting.on("shareCalls") || !SQLConf.get.exchangeReuseEnabled) plan
    else {
      // copies of one CTE have one result column, and an exchange already
      val alike = calls(plan).groupBy(_.canonicalized).values.map(_.map(_.result.exprId).toSet).filter(_.size > 1)
      if (alike.isEmpty) plan else share(plan, alike.flatten.toSet)
    }

  private def calls(plan: LogicalPlan): Seq[LLMEval] = plan match {
    case e: LLMEval => e +: calls(e.child)
    case p if stops(p) => Nil
    case other => other.children.flatMap(calls)
  }

  /** The outermost: what is below runs once with it. */
  private def share(plan: LogicalPlan, ids: Set[ExprId]): LogicalPlan = plan match {
    case e: LLMEval if ids(e.result.exprId) => RepartitionByExpression(Nil, e, None)
    case p if stops(p) => p
    case other => other.mapChildren(share(_, ids))
  }

  /** A limit; or an exchange, this rule's own when it runs again. */
  private def stops(plan: LogicalPlan): Boolean = plan match {
    case _: GlobalLimit | _: LocalLimit | _: RepartitionOperation | _: RebalancePartitions => true
    case _ => false
  }
}
