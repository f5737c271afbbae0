package sparkllm.catalyst

import java.nio.ByteBuffer

import org.apache.spark.unsafe.types.UTF8String

/** Where every row of a call goes: the field order of the query, and the first keys of the ranges after the first.
  *
  * @param rows rows that have a field at all
  * @param distinct about how many of them are different
  * @param dataFirst the data stands before the instruction in every prompt of the query */
case class Placement(
    order: Array[Int], boundaries: Array[Array[Byte]], rows: Long, distinct: Long, dataFirst: Boolean = false) {
  /** The range that holds this key. */
  def slot(key: Array[Byte]): Int = {
    var (low, high) = (0, boundaries.length)
    while (low < high) {
      val middle = (low + high) >>> 1
      if (java.util.Arrays.compareUnsigned(key, boundaries(middle)) >= 0) low = middle + 1 else high = middle
    }
    low
  }

  /** "2,0,1", or "2,0,1;data first": what sparkllm/udf/task.py reads beside every row. */
  def orderText: UTF8String = UTF8String.fromString(order.mkString(",") + (if (dataFirst) ";data first" else ""))

  def toBytes: Array[Byte] = {
    val out = ByteBuffer.allocate(28 + 4 * order.length + boundaries.map(_.length + 4).sum)
    out.putLong(rows).putLong(distinct).putInt(order.length).putInt(boundaries.length)
    out.putInt(if (dataFirst) 1 else 0)
    order.foreach(out.putInt)
    boundaries.foreach(b => out.putInt(b.length).put(b))
    out.array()
  }
}

object Placement {
  def apply(bytes: Array[Byte]): Placement = {
    val in = ByteBuffer.wrap(bytes)
    val (rows, distinct, width, parts) = (in.getLong(), in.getLong(), in.getInt(), in.getInt())
    val dataFirst = in.getInt() == 1
    val order = Array.fill(width)(in.getInt())
    val boundaries = Array.fill(parts) { val b = new Array[Byte](in.getInt()); in.get(b); b }
    Placement(order, boundaries, rows, distinct, dataFirst)
  }
}
