package sparkllm.catalyst

import org.apache.spark.unsafe.types.UTF8String

/** Where every row of a call goes: the field order of the query, and the first keys of the ranges after the first.
  *
  * @param rows rows that have a field at all
  * @param distinct about how many of them are different
  * @param dataFirst the data stands before the instruction in every prompt of the query
  * @param pools the ranges of each pool, in place of `boundaries`, where rows go to GPU types by a plan */
case class Placement(
    order: Array[Int], boundaries: Array[Array[Byte]], rows: Long, distinct: Long, dataFirst: Boolean = false,
    pools: Option[PoolRanges] = None) {
  /** The slot of a row with this key and so many bytes in its fields. */
  def slot(key: Array[Byte], bytes: => Long): Int = pools.fold(Ranges.find(boundaries, key))(_.slot(key, bytes))

  /** "2,0,1", or "2,0,1;data first": what sparkllm/udf/task.py reads beside every row. */
  def orderText: UTF8String = UTF8String.fromString(order.mkString(",") + (if (dataFirst) ";data first" else ""))
}
