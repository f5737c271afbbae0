package sparkllm.catalyst

import org.apache.spark.{NarrowDependency, Partition, ShuffleDependency, TaskContext}
import org.apache.spark.rdd.{PartitionPruningRDD, RDD}
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.Attribute
import org.apache.spark.sql.catalyst.plans.physical.SinglePartition
import org.apache.spark.sql.execution.{PartialMapperPartitionSpec, ShuffledRowRDD, ShufflePartitionSpec}
import org.apache.spark.sql.execution.UnsafeRowSerializer
import org.apache.spark.sql.execution.exchange.ShuffleExchangeExec
import org.apache.spark.sql.execution.metric.SQLMetric

/** Partitions of `rows` that ran in one pool, and where they were written. */
private case class Written(
    pool: Int, partitions: Seq[Int], dependency: ShuffleDependency[Int, InternalRow, InternalRow])

/** Runs the partitions of `rows` in stages, one of each pool, and reads what they wrote back in the order of the
  * partitions.
  *
  * @param took seconds of a task, by partition, of those that are done */
private class PoolStages(
    rows: RDD[InternalRow], pools: CallPools, output: Seq[Attribute], dataSize: SQLMetric,
    writes: Map[String, SQLMetric], reads: Map[String, SQLMetric], took: () => Map[Int, Double]) {

  /** @param placement the field order's column, where KeyedRows has put the rows into slots */
  def run(placement: Option[Attribute]): RDD[InternalRow] = {
    val n = rows.getNumPartitions
    // the rows have their slots, unless adaptive execution has read them in another way
    val placed = placement.filter(_ => n == pools.slots)
    val planned = placed.flatMap(PlannedSeconds.of).filter(Replan.worthwhile(pools, _))
    val (early, poolOf) = planned.map(new EarlySlots(rows.sparkContext, pools, _, stage, took).run())
      .getOrElse((Nil, if (placed.isDefined) pools.ofSlots else pools.dealt(n)))
    read(early ++ stages(poolOf, (0 until n).diff(early.flatMap(_.partitions))))
  }

  /** One for each pool that has any of these partitions. */
  private def stages(poolOf: Seq[Int], partitions: Seq[Int]): Seq[Written] =
    partitions.groupBy(poolOf).toSeq.sortBy(_._1).map { case (pool, own) => stage(pool, own.sorted) }

  private def stage(pool: Int, partitions: Seq[Int]): Written = {
    val profile = InPools.profile(rows.sparkContext, pools.pools(pool))
    val there =
      new PoolRDD(PartitionPruningRDD.create(rows, partitions.toSet), pools.pools(pool).name).withResources(profile)
    // one reducer, so that what a partition wrote is one block
    val dependency = ShuffleExchangeExec.prepareShuffleDependency(
      there, output, SinglePartition, new UnsafeRowSerializer(output.size, dataSize), writes)
    Written(pool, partitions, dependency)
  }

  private def read(written: Seq[Written]): RDD[InternalRow] =
    if (written.isEmpty) rows
    else {
      val parts = written.map { w =>
        val each = w.partitions.indices.map(i => PartialMapperPartitionSpec(i, 0, 1): ShufflePartitionSpec)
        new ShuffledRowRDD(w.dependency, reads, each.toArray)
      }
      val partitions = written.flatMap(_.partitions).zipWithIndex.sortBy(_._1).map(_._2)
      new ReorderedRDD(rows.sparkContext.union(parts), partitions.toArray)
    }
}

/** Partition i is partition `from(i)` of `rows`. */
private class ReorderedRDD(rows: RDD[InternalRow], from: Array[Int])
    extends RDD[InternalRow](rows.sparkContext, Seq(new Reordered(rows, from))) {
  override protected def getPartitions: Array[Partition] =
    from.indices.map(i => new ReorderedPartition(i, rows.partitions(from(i)))).toArray[Partition]

  override def compute(split: Partition, context: TaskContext): Iterator[InternalRow] =
    firstParent[InternalRow].iterator(split.asInstanceOf[ReorderedPartition].parent, context)
}

private class Reordered(rows: RDD[InternalRow], from: Array[Int]) extends NarrowDependency[InternalRow](rows) {
  override def getParents(partition: Int): Seq[Int] = Seq(from(partition))
}

private class ReorderedPartition(override val index: Int, val parent: Partition) extends Partition
