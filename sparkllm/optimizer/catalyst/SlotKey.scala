package sparkllm.catalyst

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.expressions.codegen.CodegenFallback
import org.apache.spark.sql.types.{DataType, IntegerType}
import org.apache.spark.unsafe.hash.Murmur3_x86_32

/** A number that Spark's hash partitioning into `parts` sends to partition `slot`.
  *
  * Spark 4.0 has no expression that names a partition; 4.1 has. This one does it on all. */
case class SlotKey(child: Expression, parts: Int) extends UnaryExpression with CodegenFallback {
  @transient private lazy val keys: Array[Int] = {
    val found = Array.fill(parts)(-1)
    var (key, left) = (0, parts)
    while (left > 0) {
      val part = Math.floorMod(Murmur3_x86_32.hashInt(key, 42), parts)
      if (found(part) < 0) { found(part) = key; left -= 1 }
      key += 1
    }
    found
  }

  override def dataType: DataType = IntegerType
  override def nullable: Boolean = false
  override def toString: String = child.toString
  override def eval(input: InternalRow): Any = keys(child.eval(input).asInstanceOf[Int])
  override protected def withNewChildInternal(newChild: Expression): SlotKey = copy(child = newChild)
}
