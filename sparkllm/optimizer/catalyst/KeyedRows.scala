package sparkllm.catalyst

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, UnaryNode}
import org.apache.spark.sql.catalyst.plans.physical.Partitioning
import org.apache.spark.sql.execution.{SparkPlan, UnaryExecNode}
import org.apache.spark.sql.types.{BinaryType, IntegerType, StringType}
import org.apache.spark.unsafe.types.UTF8String

/** The columns that place a row of a call: the range it belongs to, its key in the global order, and the field order of
  * the query, which the rows carry to Python. */
case class KeyColumns(slot: Attribute, key: Attribute, order: Attribute) {
  def all: Seq[Attribute] = Seq(slot, key, order)
}

object KeyColumns {
  def fresh(): KeyColumns = KeyColumns(
    AttributeReference("llm_slot", IntegerType, nullable = false)(),
    AttributeReference("llm_key", BinaryType, nullable = false)(),
    AttributeReference("llm_order", StringType, nullable = false)())
}

/** Appends KeyColumns to every row of its child, by the placement that a scalar subquery over the same rows returns. */
case class KeyedRows(fields: Seq[Expression], slots: Int, placement: Expression, columns: KeyColumns, child: LogicalPlan)
    extends UnaryNode {
  override def output: Seq[Attribute] = child.output ++ columns.all
  override def producedAttributes: AttributeSet = AttributeSet(columns.all)
  override def maxRows: Option[Long] = child.maxRows
  override protected def withNewChildInternal(newChild: LogicalPlan): KeyedRows = copy(child = newChild)
}

/** The subquery's value is read on the driver and its bytes alone are shipped: a subquery inside the rows' own
  * expressions would ship its whole plan. */
case class KeyedRowsExec(
    fields: Seq[Expression], slots: Int, placement: Expression, columns: KeyColumns, child: SparkPlan)
    extends UnaryExecNode {
  override def output: Seq[Attribute] = child.output ++ columns.all
  override def producedAttributes: AttributeSet = AttributeSet(columns.all)
  override def outputPartitioning: Partitioning = child.outputPartitioning
  override def outputOrdering: Seq[SortOrder] = child.outputOrdering

  override protected def doExecute(): RDD[InternalRow] = {
    val bytes = placement.eval(null).asInstanceOf[Array[Byte]]
    val (texts, input, parts) = (fields, child.output, slots)
    child.execute().mapPartitionsWithIndex { (partition, rows) =>
      val place = Placement(bytes)
      val order = place.orderText
      val evaluate = UnsafeProjection.create(texts, input)
      val join = UnsafeProjection.create(
        input.zipWithIndex.map { case (a, i) => BoundReference(i, a.dataType, a.nullable) } ++
          Seq(IntegerType, BinaryType, StringType).zipWithIndex.map { case (t, i) =>
            BoundReference(input.size + i, t, nullable = false)
          })
      val both = new JoinedRow
      var unasked = partition // rows that ask nothing go anywhere: to all ranges in turn
      rows.map { row =>
        val values = evaluate(row)
        val cells = Array.tabulate(texts.size)(i => if (values.isNullAt(i)) null else values.getUTF8String(i))
        val key = FieldSketch.key(cells, place.order, FieldSketch.combine(cells.map(FieldSketch.hash)))
        val slot = if (cells.exists(_ != null)) place.slot(key) else { unasked += 1; Math.floorMod(unasked, parts) }
        join(both(row, InternalRow(slot, key, order)))
      }
    }
  }

  override def simpleString(maxFields: Int): String = s"$nodeName $slots ranges by ${fields.mkString("[", ", ", "]")}"
  override protected def withNewChildInternal(newChild: SparkPlan): KeyedRowsExec = copy(child = newChild)
}
