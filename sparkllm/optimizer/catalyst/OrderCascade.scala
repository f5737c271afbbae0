package sparkllm.catalyst

import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.catalyst.rules.Rule

/** Of several calls, those come first whose filters drop rows at the least cost; those that no filter reads come
  * last.
  *
  * `Filter (b = 'x') <- LLMEval b <- Filter (a = 'x') <- LLMEval a <- t`, where b is cheaper or drops more rows ->
  * `Filter (a = 'x') <- LLMEval a <- Filter (b = 'x') <- LLMEval b <- t`; and `Filter (b = 'x') <- LLMEval b <-
  * LLMEval a <- t` -> `LLMEval a <- Filter (b = 'x') <- LLMEval b <- t`.
  *
  * By ascending cost / (1 - share of rows kept), the best order of filters that know nothing of each other
  * (Hellerstein and Stonebraker, Predicate Migration, 1993); cost is CallCost's and share Selectivity's. Equal ranks
  * stay as they are. A call that reads another's answer, if only in its guard, comes after it; random filters, columns
  * and calls do not move, nor does anything past them. PilotRun may change the order once more, when the query runs. */
object OrderCascade extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!plan.exists(_.isInstanceOf[LLMEval]) || !Setting.on("orderCascade")) plan else rewrite(plan)

  private def rewrite(plan: LogicalPlan): LogicalPlan = {
    val cascade = Cascade.of(plan)
    val calls = cascade.steps.count(_.isInstanceOf[Ask])
    val base = if (cascade.base eq plan) plan.mapChildren(rewrite) else rewrite(cascade.base)
    val ordered = if (calls < 2) None else new CascadeOrder(cascade, Seen().toSeq).better
    ordered.map(steps => cascade.copy(base = base, steps = steps).plan).getOrElse(onto(plan, cascade.base, base))
  }

  private def onto(plan: LogicalPlan, old: LogicalPlan, base: LogicalPlan): LogicalPlan =
    if (plan eq old) base else plan.mapChildren(onto(_, old, base))
}
