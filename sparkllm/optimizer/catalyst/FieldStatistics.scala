package sparkllm.catalyst

import org.apache.spark.rdd.RDD
import org.apache.spark.unsafe.types.UTF8String

/** How a call's rows are placed: what a pass over its rendered fields looks for.
  *
  * @param names of the fields
  * @param first fields that stand in front of all others, those of the instruction
  * @param keep the query's own field order stays
  * @param parts most ranges
  * @param shared equal prompts are asked once
  * @param dataFirst bytes of a row that no row before it shares, from which the data stands before the instruction
  * @param pools the pools that the rows go to, where a plan says so */
case class FieldStatistics(
    names: Seq[String], first: Seq[Int], keep: Boolean, parts: Int, shared: Boolean, dataFirst: Option[Int] = None,
    pools: Option[CallPools] = None) {
  private def capacity: Int = math.min(FieldStatistics.sampledPerPart * parts, FieldStatistics.mostSampled).toInt

  /** Runs one job over the rows; what travels is of bounded size (FieldSketch). */
  def placement(rows: RDD[(Array[UTF8String], Long)]): Placement = {
    val (width, most, ofTask) = (names.size, capacity, BottomRows.bytesOfTask(rows.getNumPartitions))
    val start = new FieldSketch(width, most, BottomRows.mostBytes).serialize()
    val sketches = rows.mapPartitions { in =>
      val sketch = new FieldSketch(width, most, ofTask)
      in.foreach { case (fields, apart) => sketch.add(fields, apart) }
      Iterator(sketch.serialize())
    }
    val (merge, depth) = (FieldStatistics.merge _, 2)
    // the driver gets one sketch, however many tasks there are
    FieldSketch.deserialize(sketches.treeAggregate(start, merge, merge, depth, finalAggregateOnExecutor = true))
      .placement(this)
  }
}

object FieldStatistics {
  /** A range's share of the tokens is off by about 1 / sqrt of this many rows. */
  val sampledPerPart = 512L
  /** Rows of a sample, whose bytes BottomRows bounds too. */
  val mostSampled = 16384L

  private def merge(a: Array[Byte], b: Array[Byte]): Array[Byte] =
    FieldSketch.deserialize(a).merge(FieldSketch.deserialize(b)).serialize()
}
