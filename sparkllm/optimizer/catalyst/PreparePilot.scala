package sparkllm.catalyst

import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.expressions.ExprId
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.internal.SQLConf

/** Writes the rows of several filters over answers before the first call, where nobody knows which filter drops most:
  * PilotRun then asks a few of them, and decides.
  *
  * `Filter (b = 'x') <- LLMEval b <- Filter (a = 'x') <- LLMEval a <- t` -> `... LLMEval a <- Repartition <- t`, whose
  * exchange adaptive execution runs before it plans what is above. Left out where that must not or cannot be: without
  * adaptive execution, few rows, below a LIMIT, rows that come sorted or stay where they are, under a placement, and
  * where a query has the same calls twice, in a CTE or otherwise: they run once as long as their plans are equal. */
case class PreparePilot(session: SparkSession) extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = plan match {
    case Subquery(_, true) => plan // see CoLocate
    case _ if !plan.exists(_.isInstanceOf[LLMEval]) || !PilotRun.on || !SQLConf.get.adaptiveExecutionEnabled => plan
    case _ => if (CoLocate.slots(session) > 1) rewrite(plan, limited = false, twice(plan)) else plan
  }

  private def rewrite(plan: LogicalPlan, limited: Boolean, twice: Set[ExprId]): LogicalPlan = plan match {
    case c: CTERelationDef => c
    case _: GlobalLimit | _: LocalLimit | _: Offset => plan.mapChildren(rewrite(_, limited = true, twice))
    case _: Aggregate | _: Join | _: Window | _: RepartitionOperation =>
      plan.mapChildren(rewrite(_, limited = false, twice))
    case s: Sort if s.global => s.mapChildren(rewrite(_, limited = false, twice))
    case _ =>
      val cascade = Cascade.of(plan)
      val ids = cascade.asked.map(_.result.exprId).toSet
      if (limited || ids.exists(twice) || !PilotRun.useful(cascade)) plan.mapChildren(rewrite(_, limited, twice))
      else prepared(plan, ids, cascade.asked.head.child)
  }

  /** Calls that are in the plan more than once. */
  private def twice(plan: LogicalPlan): Set[ExprId] = {
    val calls = plan.collect { case e: LLMEval => e }
    calls.groupBy(_.canonicalized).values.filter(_.size > 1).flatten.map(_.result.exprId).toSet
  }

  private def prepared(plan: LogicalPlan, ids: Set[ExprId], rows: LogicalPlan): LogicalPlan =
    if (CoLocate.tooSmall(rows) || CoLocate.sorted(rows)) plan
    else {
      val written =
        if (CoLocate.written(rows)) rows else RepartitionByExpression(Nil, rows, Some(CoLocate.slots(session)))
      marked(plan, ids, rows, written, Some(new PilotEvidence))
    }

  private def marked(
      plan: LogicalPlan, ids: Set[ExprId], rows: LogicalPlan, written: LogicalPlan,
      pilot: Option[PilotEvidence]): LogicalPlan =
    if (plan eq rows) written
    else plan.mapChildren(marked(_, ids, rows, written, pilot)) match {
      case e: LLMEval if ids(e.result.exprId) => e.copy(pilot = pilot)
      case other => other
    }
}
