package sparkllm.catalyst

import java.nio.ByteBuffer

import org.apache.spark.unsafe.types.UTF8String

/** Where every row of a call goes: the field order of the query, and the first keys of the ranges after the first.
  *
  * @param rows rows that have a field at all
  * @param distinct about how many of them are different */
case class Placement(order: Array[Int], boundaries: Array[Array[Byte]], rows: Long, distinct: Long) {
  /** The range that holds this key. */
  def slot(key: Array[Byte]): Int = {
    var (low, high) = (0, boundaries.length)
    while (low < high) {
      val middle = (low + high) >>> 1
      if (java.util.Arrays.compareUnsigned(key, boundaries(middle)) >= 0) low = middle + 1 else high = middle
    }
    low
  }

  def orderText: UTF8String = UTF8String.fromString(order.mkString(","))

  def toBytes: Array[Byte] = {
    val out = ByteBuffer.allocate(24 + 4 * order.length + boundaries.map(_.length + 4).sum)
    out.putLong(rows).putLong(distinct).putInt(order.length).putInt(boundaries.length)
    order.foreach(out.putInt)
    boundaries.foreach(b => out.putInt(b.length).put(b))
    out.array()
  }
}

object Placement {
  def apply(bytes: Array[Byte]): Placement = {
    val in = ByteBuffer.wrap(bytes)
    val (rows, distinct, width, parts) = (in.getLong(), in.getLong(), in.getInt(), in.getInt())
    val order = Array.fill(width)(in.getInt())
    val boundaries = Array.fill(parts) { val b = new Array[Byte](in.getInt()); in.get(b); b }
    Placement(order, boundaries, rows, distinct)
  }
}
