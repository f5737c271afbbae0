package sparkllm.catalyst

import org.apache.spark.{NarrowDependency, Partition, ShuffleDependency, TaskContext}
import org.apache.spark.rdd.{PartitionPruningRDD, RDD}
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.Attribute
import org.apache.spark.sql.catalyst.plans.physical.SinglePartition
import org.apache.spark.sql.execution.{PartialMapperPartitionSpec, ShuffledRowRDD, ShufflePartitionSpec, UnsafeRowSerializer}
import org.apache.spark.sql.execution.exchange.ShuffleExchangeExec
import org.apache.spark.sql.execution.metric.SQLMetric

/** Partitions of `rows` that ran in one pool, and where they were written. */
private case class Written(
    pool: Int, partitions: Seq[Int], dependency: ShuffleDependency[Int, InternalRow, InternalRow])

/** Runs the partitions of `rows` in stages, one of each pool, and reads what they wrote back in the order of the
  * partitions. */
private class PoolStages(
    rows: RDD[InternalRow], pools: CallPools, output: Seq[Attribute], dataSize: SQLMetric,
    writes: Map[String, SQLMetric], reads: Map[String, SQLMetric]) {

  def run(placement: Option[Attribute]): RDD[InternalRow] = {
    val n = rows.getNumPartitions
    // the rows have their slots, unless adaptive execution has read them in another way
    val placed = placement.isDefined && n == pools.slots
    read(stages(if (placed) pools.ofSlots else pools.dealt(n), 0 until n))
  }

  /** One for each pool that has any of these partitions. */
  private def stages(poolOf: Seq[Int], partitions: Seq[Int]): Seq[Written] =
    partitions.groupBy(poolOf).toSeq.sortBy(_._1).map { case (pool, own) =>
      val kept = own.toSet
      val there = new PoolRDD(PartitionPruningRDD.create(rows, kept), pools.pools(pool).name)
        .withResources(InPools.profile(rows.sparkContext, pools.pools(pool)))
      // one reducer, so that what a partition wrote is one block
      val dependency = ShuffleExchangeExec.prepareShuffleDependency(
        there, output, SinglePartition, new UnsafeRowSerializer(output.size, dataSize), writes)
      Written(pool, own.sorted, dependency)
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
