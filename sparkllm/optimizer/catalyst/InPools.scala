package sparkllm.catalyst

import java.lang.reflect.InvocationTargetException

import scala.jdk.CollectionConverters._

import org.apache.spark.{NarrowDependency, SparkContext}
import org.apache.spark.rdd.RDD
import org.apache.spark.resource.ResourceProfile
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{Attribute, SortOrder}
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.plans.physical.Partitioning
import org.apache.spark.sql.execution.{SparkPlan, UnaryExecNode}
import org.apache.spark.sql.execution.metric.{SQLMetric, SQLMetrics}
import org.apache.spark.sql.execution.metric.{SQLShuffleReadMetricsReporter, SQLShuffleWriteMetricsReporter}

/** Where the calls of a plan run. */
object InPools {
  /** What runs `answers` on the executors of its pools; several calls of one stage do so together, at the last. */
  def apply(e: LLMEval, answers: LLMEvalExec): SparkPlan = e.pools match {
    case Some(pools) if e.inStage || pools.pools.isEmpty => answers
    case Some(pools) if e.limit.isDefined => InOnePoolExec(pools.fastest, answers)
    case Some(pools) => InPoolsExec(pools, placement(e), answers)
    case None => answers
  }

  /** The calls below that run in the stage of the call above leave their way there to it: so all of them see a row
    * soon after one another, while its data is in the KV cache. */
  def sameStage(plan: LogicalPlan): LogicalPlan = plan match {
    case e: LLMEval => e.copy(child = sameStage(e.child), inStage = true)
    case p @ (_: Project | _: Filter | _: Generate) => p.mapChildren(sameStage)
    case other => other
  }

  /** The field order's column of the first call that was placed: the slots are its partitions. */
  private def placement(plan: LogicalPlan): Option[Attribute] = plan match {
    case e: LLMEval => e.order.orElse(placement(e.child))
    case p @ (_: Project | _: Filter | _: Generate) => placement(p.children.head)
    case _ => None
  }

  /** A stage has one profile. Below a limit that needs no exchange, it may have that of InOnePool already. */
  private[catalyst] def inPool(rdd: RDD[_]): Boolean = rdd.getResourceProfile() != null ||
    rdd.dependencies.exists { case n: NarrowDependency[_] => inPool(n.rdd); case _ => false }

  /** The profile that sparkllm/backend/placement/on_spark.py has registered; Spark keeps it to itself. */
  private[catalyst] def profile(context: SparkContext, pool: Pool): ResourceProfile = try {
    PoolWatch(context, pool)
    val manager = classOf[SparkContext].getMethod("resourceProfileManager").invoke(context)
    manager.getClass.getMethod("resourceProfileFromId", classOf[Int]).invoke(manager, Int.box(pool.profile))
      .asInstanceOf[ResourceProfile]
  } catch {
    case _: InvocationTargetException => throw new CallError(
      s"${Pools.key} names a resource profile for ${pool.name} that this Spark application does not know: apply the " +
        "plan again, with plan.on(spark)")
  }
}

/** Each pool's partitions are a stage of its own, on executors with the profile of the pool: the Python function and
  * what stands below it up to the next exchange. What stands above is again for any executor, so the answers are
  * written once more; partitions and their order stay.
  *
  * @param placement the field order's column, where KeyedRows has put the rows into slots */
case class InPoolsExec(pools: CallPools, placement: Option[Attribute], child: SparkPlan) extends UnaryExecNode {
  override def output: Seq[Attribute] = child.output
  override def outputPartitioning: Partitioning = child.outputPartitioning
  override def outputOrdering: Seq[SortOrder] = child.outputOrdering

  private lazy val writes = SQLShuffleWriteMetricsReporter.createShuffleWriteMetrics(sparkContext)
  private lazy val reads = SQLShuffleReadMetricsReporter.createShuffleReadMetrics(sparkContext)
  override lazy val metrics: Map[String, SQLMetric] =
    Map("dataSize" -> SQLMetrics.createSizeMetric(sparkContext, "data size")) ++ writes ++ reads

  override protected def doExecute(): RDD[InternalRow] = {
    val rows = child.execute()
    if (InPools.inPool(rows)) rows
    else new PoolStages(rows, pools, output, longMetric("dataSize"), writes, reads, () => took).run(placement)
  }

  /** Of the outermost call: it waits for those below. */
  private def took: Map[Int, Double] = child match {
    case e: LLMEvalExec =>
      e.busy.value.asScala.toSeq.groupBy(_._1).map { case (slot, all) => slot -> all.map(_._2).sum / 1000.0 }
    case _ => Map.empty
  }

  override def simpleString(maxFields: Int): String = s"$nodeName $pools"
  override protected def doCanonicalize(): SparkPlan = copy(placement = None, child = child.canonicalized)
  override protected def withNewChildInternal(newChild: SparkPlan): InPoolsExec = copy(child = newChild)
}

/** A call that stops at a limit above asks few rows: one pool does, and the limit is in its stage. */
case class InOnePoolExec(pool: Pool, child: SparkPlan) extends UnaryExecNode {
  override def output: Seq[Attribute] = child.output
  override def outputPartitioning: Partitioning = child.outputPartitioning
  override def outputOrdering: Seq[SortOrder] = child.outputOrdering

  override protected def doExecute(): RDD[InternalRow] = {
    val rows = child.execute()
    if (InPools.inPool(rows)) rows
    else new PoolRDD(rows, pool.name).withResources(InPools.profile(sparkContext, pool))
  }

  override def simpleString(maxFields: Int): String = s"$nodeName ${pool.name}"
  override protected def withNewChildInternal(newChild: SparkPlan): InOnePoolExec = copy(child = newChild)
}
