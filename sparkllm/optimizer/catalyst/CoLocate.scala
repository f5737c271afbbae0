package sparkllm.catalyst

import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.catalog.HiveTableRelation
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.execution.LogicalRDD
import org.apache.spark.sql.execution.adaptive.LogicalQueryStage
import org.apache.spark.sql.execution.columnar.InMemoryRelation
import org.apache.spark.sql.execution.datasources.{HadoopFsRelation, LogicalRelation}
import org.apache.spark.sql.execution.datasources.v2.{DataSourceV2ScanRelation, FileTable}
import org.apache.spark.sql.internal.SQLConf

/** Brings rows that share a prefix into one task: equal prompts meet (dedup is global), and every task holds one
  * contiguous range of one global order, of about equal tokens.
  *
  * `LLMEval <- t` -> `LLMEval <- Sort [key], local <- Repartition by slot <- KeyedRows [slot, key, order] <- t`, where
  * KeyedRows reads its rows twice, once to choose the field order and the ranges. No job runs while the query is
  * optimized. A child that is dear to run, or must not run twice, writes an exchange first.
  *
  * Where Spark's statistics know that the rows have nothing in common, they are dealt out in turn, without that pass.
  * Left out where it cannot pay: few rows, one range, a LIMIT above or below, rows that come sorted, random fields,
  * order => 'off', and a call over the fields of a call below it, whose rows are in place. */
case class CoLocate(session: SparkSession) extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = plan match {
    case Subquery(_, true) => plan // Spark will make it a part of the outer query, where other rules come first
    case _ if !plan.exists(_.isInstanceOf[LLMEval]) || !Setting.on("coLocate") => plan
    case _ => rewrite(plan, limited = false, plan.collect { case e: LLMEval => e })
  }

  /** @param all calls of the query */
  private def rewrite(plan: LogicalPlan, limited: Boolean, all: Seq[LLMEval]): LogicalPlan = plan match {
    case e: LLMEval =>
      val below = e.copy(child = rewrite(e.child, limited, all))
      val stays = e.order.isDefined || limited || e.call.spec.rowsAsTheyCome
      if (stays) below else follow(below).getOrElse(place(below, all))
    case _: GlobalLimit | _: LocalLimit | _: Offset => plan.mapChildren(rewrite(_, limited = true, all))
    case _: Aggregate | _: Join | _: Window | _: RepartitionOperation =>
      plan.mapChildren(rewrite(_, limited = false, all))
    case s: Sort if s.global => s.mapChildren(rewrite(_, limited = false, all))
    case other => other.mapChildren(rewrite(_, limited, all))
  }

  private def place(e: LLMEval, all: Seq[LLMEval]): LogicalPlan = {
    val pools = Pools.of(e.call.spec)
    val slots = pools.map(_.slots).getOrElse(CoLocate.slots(session))
    val placeable = e.call.fields.nonEmpty && e.call.deterministic && slots > 1
    if (!placeable || CoLocate.tooSmall(e.child) || CoLocate.sorted(e.child)) e
    // under a plan the sizes of the rows count, too
    else if (pools.isEmpty && alone(e, all) && NothingShared(e.call, e.child)) dealtOut(e, slots)
    else {
      val rows = if (CoLocate.twice(e.child)) RepartitionByExpression(Nil, e.child, None) else e.child
      byStatistics(e, rows, slots, pools)
    }
  }

  /** No other call has these fields: where one has, rows that share nothing share their data with themselves. */
  private def alone(e: LLMEval, all: Seq[LLMEval]): Boolean =
    !all.exists(o => o.result.exprId != e.result.exprId && CoLocate.sameFields(o.call, e.call))

  /** This rule runs until nothing changes. */
  private def dealtOut(e: LLMEval, slots: Int): LogicalPlan = e.child match {
    case r: RepartitionByExpression if r.partitionExpressions.isEmpty && r.optNumPartitions.contains(slots) => e
    case rows => e.copy(child = RepartitionByExpression(Nil, rows, Some(slots)))
  }

  private def byStatistics(e: LLMEval, rows: LogicalPlan, slots: Int, pools: Option[CallPools]): LogicalPlan = {
    val fields = LLMStrategy.texts(e.call, e.guard)
    val spec = e.call.spec
    val keep = !Setting.on("orderFields") || spec.fieldsAsTheyCome
    val statistics = FieldStatistics(
      spec.fields, spec.instructionFields, keep, slots, CoLocate.shared, pools = pools)
    val columns = KeyColumns.fresh()
    val keyed = KeyedRows(fields, statistics, columns, rows)
    val placed = RepartitionByExpression(Seq(SlotKey(columns.slot, slots)), keyed, Some(slots))
    val sorted = Sort(Seq(SortOrder(columns.key, Ascending)), global = false, placed)
    Project(e.output, e.copy(order = Some(columns.order), child = Project(rows.output :+ columns.order, sorted)))
  }

  /** The rows are in place already: a call below has the same fields, and only filters and columns are in between. */
  private def follow(e: LLMEval): Option[LogicalPlan] = {
    def below(p: LogicalPlan): Option[(LogicalPlan, Attribute)] = p match {
      case l: LLMEval if l.order.isDefined && l.guard.isEmpty && CoLocate.sameFields(l.call, e.call) &&
          l.call.spec.fieldsAsTheyCome == e.call.spec.fieldsAsTheyCome =>
        Some((l, l.order.get))
      case l: LLMEval => below(l.child).map { case (c, order) => (l.copy(child = c), order) }
      case f: Filter => below(f.child).map { case (c, order) => (f.copy(child = c), order) }
      case p: Project if p.projectList.forall(_.deterministic) => below(p.child).map { case (c, order) =>
        (p.copy(projectList = p.projectList :+ order, child = c), order)
      }
      case _ => None
    }
    below(e.child).map { case (child, order) => Project(e.output, e.copy(order = Some(order), child = child)) }
  }
}

object CoLocate {
  /** Below, a shuffle costs more than it saves. */
  val fewRows = 1000L
  private val smallBytes = 256L << 10

  /** Ranges of a call: `spark.sparkllm.tasks`, or two for each core, so that a late one does not hold up the end. */
  def slots(session: SparkSession): Int = {
    val asked = Setting.number("tasks", 0).toInt
    if (asked > 0) asked else 2 * session.sparkContext.defaultParallelism
  }

  /** Equal prompts are asked once. Else a value that most rows have, all in one task, would be that task's work. */
  def shared: Boolean = Setting.on("dedup") && Setting.number("temperature", 0) == 0

  def tooSmall(plan: LogicalPlan): Boolean =
    plan.maxRows.exists(_ <= fewRows) || plan.stats.rowCount.exists(_ <= fewRows) ||
      plan.collectLeaves().map(size).sum <= smallBytes

  /** Rows that came from the driver or an RDD have no known size; they are few as a rule, where tables are not. */
  private def size(leaf: LogicalPlan): BigInt = leaf match {
    case rdd: LogicalRDD if rdd.stats.sizeInBytes >= SQLConf.get.defaultSizeInBytes => 0
    case other => other.stats.sizeInBytes
  }

  /** Its rows come in an order that the query asked for, and that nothing above would bring back. */
  def sorted(plan: LogicalPlan): Boolean = plan match {
    case _: Sort => true
    case e: LLMEval if e.order.isDefined => false // that sort is this rule's
    case _: LLMEval | _: Filter | _: Project | _: GlobalLimit | _: LocalLimit | _: Offset =>
      plan.children.exists(sorted)
    case _ => false
  }

  /** Running `plan` twice would be wrong (it asks a model, it is random) or dear. */
  def twice(plan: LogicalPlan): Boolean = !written(plan) && plan.exists {
    case _: LLMEval | _: Join | _: Aggregate | _: Window | _: Generate | _: Distinct => true
    case _: ObjectProducer | _: ScriptTransformation => true // functions of a user
    case leaf: LeafNode => !rereadable(leaf)
    case p => p.expressions.exists(twice)
  }

  /** Its rows are in an exchange that Spark does not remove, as it does one by columns that the rows are dealt by. */
  def written(plan: LogicalPlan): Boolean = plan match {
    case r: RepartitionByExpression => r.partitionExpressions.isEmpty
    case r: Repartition => r.shuffle
    case _ => false
  }

  def twice(e: Expression): Boolean = e.exists {
    case _: PythonFuncExpression | _: ScalaUDF | _: UserDefinedExpression | _: SubqueryExpression => true
    case other => !other.deterministic
  }

  /** Files and memory; others, an RDD or a database, are somebody's code, and may give other rows the second time. */
  private def rereadable(leaf: LeafNode): Boolean = leaf match {
    case r: LogicalRelation => r.relation.isInstanceOf[HadoopFsRelation]
    case r: DataSourceV2ScanRelation => r.relation.table.isInstanceOf[FileTable]
    case _: CTERelationRef => true // Spark will put an exchange there
    case _: LogicalQueryStage => true // and has written this one
    case _: LocalRelation | _: OneRowRelation | _: Range | _: InMemoryRelation | _: HiveTableRelation => true
    case _ => false
  }

  def sameFields(a: LLMCall, b: LLMCall): Boolean =
    a.fields.size == b.fields.size && a.fields.zip(b.fields).forall { case (x, y) => x.semanticEquals(y) } &&
      a.spec.instructionFields == b.spec.instructionFields
}
