package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** Drops calls whose answer nobody reads.
  *
  * `Project [id] <- LLMEval r <- t` -> `Project [id] <- t`. Spark's own column pruning does the rest below. */
object PruneUnused extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!Setting.on("pruneUnused") || !plan.exists(_.isInstanceOf[LLMEval])) plan else prune(plan, plan.outputSet)

  private def prune(plan: LogicalPlan, needed: AttributeSet): LogicalPlan = plan match {
    case e: LLMEval if !needed.contains(e.result) => prune(e.child, needed)
    case _: Project | _: Aggregate => plan.mapChildren(prune(_, plan.references))
    // their output is their child's, so it may shrink
    case _: LLMEval | _: Filter | _: Sort | _: GlobalLimit | _: LocalLimit | _: Offset | _: RepartitionOperation |
        _: RebalancePartitions | _: Window | _: Join =>
      plan.mapChildren(prune(_, needed ++ plan.references))
    case other => other.mapChildren(c => prune(c, c.outputSet))
  }
}
