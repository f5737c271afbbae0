package sparkllm.catalyst

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.catalyst.expressions.aggregate.{ImperativeAggregate, TypedImperativeAggregate}
import org.apache.spark.sql.types.{BinaryType, DataType}
import org.apache.spark.unsafe.types.UTF8String

/** Aggregate over the rendered fields of a call: its Placement, as bytes.
  *
  * One pass, mergeable, of bounded size (FieldSketch).
  *
  * @param first fields that stand in front of all others, those of the instruction
  * @param keep the query's own field order stays
  * @param parts most ranges */
case class FieldStatistics(
    fields: Seq[Expression],
    names: Seq[String],
    first: Seq[Int],
    keep: Boolean,
    parts: Int,
    override val mutableAggBufferOffset: Int = 0,
    override val inputAggBufferOffset: Int = 0) extends TypedImperativeAggregate[FieldSketch] {

  override def children: Seq[Expression] = fields
  override def dataType: DataType = BinaryType
  override def nullable: Boolean = false
  override def prettyName: String = "llm_statistics"

  override def createAggregationBuffer(): FieldSketch =
    new FieldSketch(fields.size, math.min(FieldStatistics.sampledPerPart * parts, FieldStatistics.mostSampled))

  override def update(sketch: FieldSketch, row: InternalRow): FieldSketch = {
    sketch.add(fields.map(_.eval(row).asInstanceOf[UTF8String]).toArray)
    sketch
  }

  override def merge(sketch: FieldSketch, other: FieldSketch): FieldSketch = sketch.merge(other)
  override def eval(sketch: FieldSketch): Any = sketch.placement(names, first, keep, parts).toBytes
  override def serialize(sketch: FieldSketch): Array[Byte] = sketch.serialize()
  override def deserialize(bytes: Array[Byte]): FieldSketch = FieldSketch.deserialize(bytes)

  override def withNewMutableAggBufferOffset(offset: Int): ImperativeAggregate = copy(mutableAggBufferOffset = offset)
  override def withNewInputAggBufferOffset(offset: Int): ImperativeAggregate = copy(inputAggBufferOffset = offset)
  override protected def withNewChildrenInternal(newChildren: IndexedSeq[Expression]): FieldStatistics =
    copy(fields = newChildren)
}

object FieldStatistics {
  /** A range's share of the tokens is off by about 1 / sqrt of this many rows. */
  val sampledPerPart = 512
  /** Some MB at most travel from each task to the one that merges them. */
  val mostSampled = 16384
}
