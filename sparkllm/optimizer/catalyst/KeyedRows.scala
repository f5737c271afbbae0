package sparkllm.catalyst

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, Statistics, UnaryNode}
import org.apache.spark.sql.catalyst.plans.physical.Partitioning
import org.apache.spark.sql.execution.{ScalarSubquery, SparkPlan, UnaryExecNode}
import org.apache.spark.sql.execution.metric.{SQLMetric, SQLMetrics}
import org.apache.spark.sql.types.{BinaryType, IntegerType, StringType}
import org.apache.spark.unsafe.types.UTF8String

/** The columns that place a row of a call: the range it belongs to, its key in the global order, and the field order of
  * the query, which the rows carry to Python. */
case class KeyColumns(slot: Attribute, key: Attribute, order: Attribute) {
  def all: Seq[Attribute] = Seq(slot, key, order)

  /** The same for all, so that Spark sees that two plans do the same. */
  def canonical: KeyColumns =
    KeyColumns(slot.withExprId(ExprId(0)), key.withExprId(ExprId(1)), order.withExprId(ExprId(2)))
}

object KeyColumns {
  def fresh(): KeyColumns = KeyColumns(
    AttributeReference("llm_slot", IntegerType, nullable = false)(),
    AttributeReference("llm_key", BinaryType, nullable = false)(),
    AttributeReference("llm_order", StringType, nullable = false)())
}

/** Appends KeyColumns to every row of its child, by the placement that a first pass over the same rows finds. */
case class KeyedRows(fields: Seq[Expression], statistics: FieldStatistics, columns: KeyColumns, child: LogicalPlan)
    extends UnaryNode {
  override def output: Seq[Attribute] = child.output ++ columns.all
  override def producedAttributes: AttributeSet = AttributeSet(columns.all)
  override def maxRows: Option[Long] = child.maxRows
  override def stats: Statistics = child.stats
  override def simpleString(maxFields: Int): String = KeyedRows.describe(nodeName, statistics, fields)
  override protected def doCanonicalize(): LogicalPlan =
    super.doCanonicalize().asInstanceOf[KeyedRows].copy(columns = columns.canonical)
  override protected def withNewChildInternal(newChild: LogicalPlan): KeyedRows = copy(child = newChild)
}

object KeyedRows {
  def describe(name: String, statistics: FieldStatistics, fields: Seq[Expression]): String =
    s"$name ${statistics.parts} ranges by ${fields.mkString("[", ", ", "]")}" +
      statistics.pools.map(p => s", $p").getOrElse("")
}

/** Both passes read the one RDD of the child, as Spark's range partitioning does: where that is an exchange, what is
  * below runs once. (A subquery for the first pass would be a copy of the child, and adaptive execution may plan a copy
  * otherwise and share nothing.) */
case class KeyedRowsExec(
    fields: Seq[Expression], statistics: FieldStatistics, columns: KeyColumns, child: SparkPlan) extends UnaryExecNode {
  override def output: Seq[Attribute] = child.output ++ columns.all
  override def producedAttributes: AttributeSet = AttributeSet(columns.all)
  override def outputPartitioning: Partitioning = child.outputPartitioning
  override def outputOrdering: Seq[SortOrder] = child.outputOrdering

  override lazy val metrics: Map[String, SQLMetric] =
    Map("dataFirst" -> SQLMetrics.createMetric(sparkContext, "rows with the data before the instruction"))

  override protected def doExecute(): RDD[InternalRow] = {
    val (texts, input, rows, dataFirst) =
      (fields.map(KeyedRowsExec.known), child.output, child.execute(), longMetric("dataFirst"))
    val (parts, shared) = (statistics.parts, statistics.shared)
    val placement = statistics.placement(rows.mapPartitionsWithIndex { (partition, in) =>
      val read = new KeyReader(texts, input, shared, partition)
      in.map(row => (read.fields(row), read.apart(row)))
    })
    placement.pools.foreach(p => PlannedSeconds.put(columns.order, p.planned))
    val (place, first) = (placement.copy(pools = placement.pools.map(_.forTasks)), placement.dataFirst)
    rows.mapPartitionsWithIndex { (partition, in) =>
      val keyed = KeyedRowsExec.keyed(place, parts, new KeyReader(texts, input, shared, partition), input)(in)
      if (!first) keyed else keyed.map { row => dataFirst.add(1); row }
    }
  }

  override def simpleString(maxFields: Int): String = KeyedRows.describe(nodeName, statistics, fields)
  override protected def doCanonicalize(): SparkPlan =
    super.doCanonicalize().asInstanceOf[KeyedRowsExec].copy(columns = columns.canonical)
  override protected def withNewChildInternal(newChild: SparkPlan): KeyedRowsExec = copy(child = newChild)
}

object KeyedRowsExec {
  /** A subquery has its value by now; as it is, it would take its whole plan to the executors. */
  private def known(e: Expression): Expression = e.transform {
    case s: ScalarSubquery => Literal(s.eval(null), s.dataType)
  }

  private def keyed(place: Placement, parts: Int, read: KeyReader, input: Seq[Attribute])(
      rows: Iterator[InternalRow]): Iterator[InternalRow] = {
    val order = place.orderText
    val join = UnsafeProjection.create(
      input.zipWithIndex.map { case (a, i) => BoundReference(i, a.dataType, a.nullable) } ++
        Seq(IntegerType, BinaryType, StringType).zipWithIndex.map { case (t, i) =>
          BoundReference(input.size + i, t, nullable = false)
        })
    val both = new JoinedRow
    rows.map { row =>
      val values = read.fields(row)
      val hashes = values.map(FieldSketch.hash)
      val key = FieldSketch.key(
        FieldSketch.parts(values, hashes), place.order, FieldSketch.combine(hashes) ^ read.apart(row))
      val slot =
        if (values.exists(_ != null)) place.slot(key, read.bytes(values)) else Math.floorMod(read.spread(row), parts)
      join(both(row, InternalRow(slot, key, order)))
    }
  }
}
