package sparkllm.catalyst

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.unsafe.types.UTF8String

/** Reads from the rows of one partition what places them.
  *
  * A task that runs again must send every row where it went before, or rows would be lost and doubled; but after a
  * shuffle it may get them in another order. So a row's place depends on what it holds, not on how many came before it.
  *
  * @param shared equal prompts are asked once: their rows meet */
private[catalyst] class KeyReader(texts: Seq[Expression], input: Seq[Attribute], shared: Boolean, partition: Int) {
  private val evaluate = UnsafeProjection.create(texts, input)
  private val whole = UnsafeProjection.create(input, input)
  private var empty = 0L

  /** The texts of the call's fields; valid until the next row is read. */
  def fields(row: InternalRow): Array[UTF8String] = {
    val values = evaluate(row)
    Array.tabulate(texts.size)(i => if (values.isNullAt(i)) null else values.getUTF8String(i))
  }

  /** Of all fields of a row. */
  def bytes(fields: Array[UTF8String]): Long = fields.map(f => if (f == null) 0L else f.numBytes.toLong).sum

  /** Where equal prompts are asked once, 0. Else rows of the same fields may stand in several ranges. */
  def apart(row: InternalRow): Long = if (shared) 0 else spread(row)

  /** Any number, for rows that ask nothing and may go anywhere. */
  def spread(row: InternalRow): Long = {
    val content = whole(row)
    val same = input.indices.forall(content.isNullAt) // as all other such rows: it does not matter which goes where
    val number = if (same) { empty += 1; empty } else content.hashCode.toLong
    FieldSketch.mix((number << 32) + partition)
  }
}
