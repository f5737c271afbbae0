package sparkllm.catalyst

import org.apache.spark.sql.catalyst.plans.logical._

/** The rows of a call as the query has them, below what CoLocate has put in between.
  *
  * `LLMEval <- Project <- Sort <- Repartition <- KeyedRows <- Repartition <- t` -> `t`. */
object SourceRows {
  def apply(e: LLMEval): LogicalPlan = e.order.flatMap(_ => keyed(e.child)) match {
    case Some(r: RepartitionByExpression) if r.partitionExpressions.isEmpty => r.child
    case Some(rows) => rows
    case None => e.child
  }

  private def keyed(plan: LogicalPlan): Option[LogicalPlan] = plan match {
    case k: KeyedRows => Some(k.child)
    case _: LLMEval => None // this call follows another one, and has its rows from there
    case other: UnaryNode => keyed(other.child)
    case _ => None
  }
}
