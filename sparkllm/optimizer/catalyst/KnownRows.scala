package sparkllm.catalyst

import scala.util.Try

import org.apache.spark.sql.execution._
import org.apache.spark.sql.execution.adaptive.{AQEShuffleReadExec, QueryStageExec}
import org.apache.spark.sql.execution.exchange.{ReusedExchangeExec, ShuffleExchangeExec}
import org.apache.spark.sql.execution.python.EvalPythonExec

/** How many rows a plan gives, where that is a count and no estimate: a list, a range, or an exchange that has been
  * written. Called when the plan begins to run.
  *
  * `LLMEvalExec <- Sort <- AQEShuffleRead <- ShuffleQueryStage`, which wrote 342 rows -> `342`; over a file -> none. */
object KnownRows {
  def apply(plan: SparkPlan): Option[Long] = Try(count(plan)).toOption.flatten

  private def count(plan: SparkPlan): Option[Long] = plan match {
    case stage: QueryStageExec => stage.getRuntimeStatistics.rowCount.map(_.toLong).filter(_ => stage.isMaterialized)
    case list: LocalTableScanExec => Some(list.rows.size.toLong)
    case range: RangeExec => Some(range.numElements.toLong)
    case both: UnionExec =>
      val known = both.children.map(count)
      if (known.forall(_.isDefined)) Some(known.flatten.sum) else None
    case one @ (_: ProjectExec | _: SortExec | _: WholeStageCodegenExec | _: InputAdapter | _: ColumnarToRowExec |
        _: CoalesceExec | _: EvalPythonExec | _: LLMEvalExec | _: KeyedRowsExec | _: AQEShuffleReadExec |
        _: ShuffleExchangeExec) => count(one.children.head)
    case again: ReusedExchangeExec => count(again.child)
    case _ => None
  }
}
