package sparkllm.catalyst

import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, Statistics}
import org.apache.spark.sql.execution.datasources.v2.DataSourceV2Relation
import org.apache.spark.sql.internal.SQLConf

/** Spark's statistics of a plan, where somebody counted: ANALYZE TABLE, and `spark.sql.cbo.enabled`.
  *
  * Not of a table whose source has not planned its scan yet: it would plan one to tell. */
object KnownStatistics {
  def apply(plan: LogicalPlan): Option[Statistics] =
    if (SQLConf.get.cboEnabled && !plan.exists(_.isInstanceOf[DataSourceV2Relation])) Some(plan.stats) else None
}
