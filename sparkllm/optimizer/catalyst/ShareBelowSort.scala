package sparkllm.catalyst

import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.execution.LogicalRDD
import org.apache.spark.sql.execution.columnar.InMemoryRelation
import org.apache.spark.sql.execution.datasources.LogicalRelation
import org.apache.spark.sql.execution.datasources.v2.DataSourceV2ScanRelation

/** A global sort samples its input before it reads it, which would run the calls below twice: an exchange between them
  * keeps the answers.
  *
  * `Sort [c] <- LLMEval r` -> `Sort [c] <- RebalancePartitions <- LLMEval r`. A sort under a limit is top-k and samples
  * nothing, unless the limit is a LocalLimit alone, as in a branch of UNION ALL; above an aggregate there is an
  * exchange already, unless its groups may be the partitions of what is below, as after a join by the same key. */
object ShareBelowSort extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan =
    if (Setting.on("shareBelowSort")) rewrite(plan, underLimit = false) else plan

  private def rewrite(plan: LogicalPlan, underLimit: Boolean): LogicalPlan = plan match {
    case s: Sort if s.global && !underLimit && asks(s.child) => s.copy(child = shared(rewrite(s.child, false)))
    case r: RepartitionByExpression if ranges(r) && asks(r.child) => r.copy(child = shared(rewrite(r.child, false)))
    case l: GlobalLimit => l.mapChildren(rewrite(_, underLimit = true))
    case p @ (_: LocalLimit | _: Offset | _: Project) => p.mapChildren(rewrite(_, underLimit))
    case other => other.mapChildren(rewrite(_, underLimit = false))
  }

  private def shared(child: LogicalPlan): LogicalPlan = RebalancePartitions(Nil, child)

  private def ranges(r: RepartitionByExpression): Boolean =
    r.partitionExpressions.exists(_.isInstanceOf[org.apache.spark.sql.catalyst.expressions.SortOrder])

  /** There is a call below that no exchange separates from here. */
  private def asks(plan: LogicalPlan): Boolean = plan match {
    case _: LLMEval => !plan.maxRows.exists(_ <= 1)
    case _: RebalancePartitions | _: GlobalLimit => false
    case r: RepartitionOperation if r.shuffle => false
    case a: Aggregate if !partitioned(a.child) => false
    case other => other.children.exists(asks)
  }

  /** Its rows may be in partitions by columns of theirs: by an exchange of its own, or as they are stored. */
  private def partitioned(plan: LogicalPlan): Boolean = plan.exists {
    case _: Join | _: Aggregate | _: Window | _: Range => true
    case _: InMemoryRelation | _: LogicalRDD | _: DataSourceV2ScanRelation => true
    case s: Sort => s.global
    case r: RepartitionByExpression => r.partitionExpressions.exists(!_.isInstanceOf[SlotKey])
    case r: LogicalRelation => r.catalogTable.exists(_.bucketSpec.isDefined)
    case _ => false
  }
}
