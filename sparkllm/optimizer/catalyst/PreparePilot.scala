package sparkllm.catalyst

import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.internal.SQLConf

/** Writes the rows of several filters over answers before the first call, where nobody knows which filter drops most:
  * PilotRun then asks a few of them, and decides.
  *
  * `Filter (b = 'x') <- LLMEval b <- Filter (a = 'x') <- LLMEval a <- t` -> `... LLMEval a <- Repartition <- t`, whose
  * exchange adaptive execution runs before it plans what is above. Left out where that must not or cannot be: without
  * adaptive execution, few rows, below a LIMIT, rows that come sorted or stay where they are, and under a placement. */
case class PreparePilot(session: SparkSession) extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = plan match {
    case Subquery(_, true) => plan // see CoLocate
    case _ if !plan.exists(_.isInstanceOf[LLMEval]) || !PilotRun.on || !SQLConf.get.adaptiveExecutionEnabled => plan
    case _ => rewrite(plan)
  }

  private def rewrite(plan: LogicalPlan): LogicalPlan = plan match {
    case _: GlobalLimit | _: LocalLimit | _: Offset => plan
    case _ =>
      val cascade = Cascade.of(plan)
      if (PilotRun.useful(cascade)) cascade.first.fold(plan)(e => exchange(plan, e.child))
      else plan.mapChildren(rewrite)
  }

  private def exchange(plan: LogicalPlan, rows: LogicalPlan): LogicalPlan = {
    def written = RepartitionByExpression(Nil, rows, Some(CoLocate.slots(session)))
    val stays = CoLocate.written(rows) || CoLocate.tooSmall(rows) || CoLocate.sorted(rows)
    if (stays) plan else onto(plan, rows, written)
  }

  private def onto(plan: LogicalPlan, old: LogicalPlan, rows: LogicalPlan): LogicalPlan =
    if (plan eq old) rows else plan.mapChildren(onto(_, old, rows))
}
