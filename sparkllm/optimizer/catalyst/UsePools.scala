package sparkllm.catalyst

import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.catalyst.rules.Rule

/** Under a plan (`plan.on(spark)`), says for each call which pools of executors evaluate its rows.
  *
  * `LLMEval r` -> `LLMEval r, pools: 2 L4, 1 A100-80`. Which rows go where, KeyedRows finds; InPools brings them there.
  * Without a plan nothing changes. */
object UsePools extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = plan.transformUp {
    case e: LLMEval if e.pools.isEmpty => Pools.of(e.call.spec).fold(e)(p => e.copy(pools = Some(p)))
  }
}
