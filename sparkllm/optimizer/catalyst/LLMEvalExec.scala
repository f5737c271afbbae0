package sparkllm.catalyst

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.physical.Partitioning
import org.apache.spark.sql.catalyst.trees.TreeNodeTag
import org.apache.spark.sql.execution.{SparkPlan, UnaryExecNode}
import org.apache.spark.sql.execution.python.ArrowEvalPythonExec
import org.apache.spark.sql.execution.metric.{SQLMetric, SQLMetrics}
import org.apache.spark.sql.types.{StringType, StructType}
import org.apache.spark.util.CollectionAccumulator

/** Takes the answer out of what Python returned (`raw`) and adds its counters to the metrics of the Spark UI. */
case class LLMEvalExec(
    call: LLMCall, guard: Option[Expression], result: Attribute, limit: Option[Int], raw: Attribute,
    pools: Option[CallPools], child: SparkPlan) extends UnaryExecNode {

  private def kept: Seq[Attribute] = child.output.filterNot(_.exprId == raw.exprId)

  override def output: Seq[Attribute] = kept :+ result
  override def producedAttributes: AttributeSet = AttributeSet(result)
  // the Arrow node in between keeps rows where they are but does not say so; without this, Spark would shuffle again
  override def outputPartitioning: Partitioning = child.children.head.outputPartitioning
  override def outputOrdering: Seq[SortOrder] = child.children.head.outputOrdering

  override lazy val metrics: Map[String, SQLMetric] = LLMEvalExec.counters.map { case (key, _, name) =>
    key -> SQLMetrics.createMetric(sparkContext, if (LLMEval.onServer(call)) LLMEvalExec.ofServer(name) else name)
  }.toMap ++ poolNames.map(name => LLMEvalExec.rowsOn(name) -> SQLMetrics.createMetric(sparkContext, s"rows on $name"))

  private[catalyst] def poolNames: Seq[String] = pools.toSeq.flatMap(_.pools.map(_.name))

  /** The field orders that tasks have used, as Python tells them ("2,0,1"); one for each engine at most. */
  @transient private[catalyst] lazy val fieldOrders = sparkContext.collectionAccumulator[String]("field order")

  /** (partition, milliseconds) of each window of its tasks, where the speed of pools matters. */
  @transient private[catalyst] lazy val busy = sparkContext.collectionAccumulator[(Int, Int)]

  /** (partition, milliseconds) of each engine that a task has started. */
  @transient private[catalyst] lazy val starts = sparkContext.collectionAccumulator[(Int, Int)]

  /** The settings that its tasks were given, as JSON: those of the session may have changed since. */
  private[catalyst] def settings: Option[String] = child.collectFirst { case python: ArrowEvalPythonExec =>
    python.udfs.flatMap(_.collectFirst { case task: TaskRequest => LLMSpec.mapper.readTree(task.request).get("conf") })
  }.flatMap(_.headOption).map(_.toString)

  /** It asks a few rows first (PilotRun). */
  private[catalyst] def isPilot: Boolean = getTagValue(LLMEvalExec.pilot).isDefined

  @transient private var executed = false

  /** Spark calls it before each action on a plan, but keeps the RDD of the first: a second `df.collect()` is reported,
    * too. */
  override def resetMetrics(): Unit = {
    super.resetMetrics()
    if (executed) Reports.began(this)
  }

  override protected def doExecute(): RDD[InternalRow] = {
    val input = child.output
    val counted = LLMEvalExec.counters.flatMap { case (key, field, _) =>
      field.flatMap(f => position(f).map(i => (i, longMetric(key))))
    }
    val reasons = LLMEvalExec.reasons.map(code => code -> longMetric(code)).toMap
    val (rows, at, value, error) = (longMetric("rows"), input.indexWhere(_.exprId == raw.exprId), position("value"),
      position("error"))
    val width = raw.dataType.asInstanceOf[StructType].length
    val answer = answerOf(GetStructField(raw, value.get))
    val (columns, condition) = (kept :+ answer, guard)
    val follows = call.spec.dataFirst.exists(_.follows)
    val rdd = new AnswersRDD(child.execute(), result.exprId.id, inRounds = limit.isDefined, follows)
    val (orderAt, orders) = (position("field_order"), fieldOrders)
    val rowsOn = poolNames.map(name => name -> longMetric(LLMEvalExec.rowsOn(name))).toMap
    val noted = pools.flatMap(_ => position("busy_ms")).map(_ -> busy) ++ position("start_ms").map(_ -> starts)
    executed = true
    Reports.began(this)
    // rows outside a guard are not counted, and under a limit some may never come
    RunningCalls.expect(rdd.id, if (guard.isEmpty && limit.isEmpty) KnownRows(child) else None)
    rdd.mapPartitionsWithIndex { (partition, in) =>
      val project = UnsafeProjection.create(columns, input)
      val asked = condition.map(g => Predicate.create(g, input))
      val here = PoolOfTask().flatMap(rowsOn.get)
      var told = orderAt.isEmpty
      in.map { row =>
        val counters = row.getStruct(at, width)
        if (counters != null) counted.foreach { case (i, metric) =>
          if (!counters.isNullAt(i)) metric.add(counters.getInt(i))
        }
        if (counters != null) noted.foreach { case (i, into) => LLMEvalExec.note(partition, counters, i, into) }
        if (!told && counters != null && !counters.isNullAt(orderAt.get)) {
          orders.add(counters.getUTF8String(orderAt.get).toString)
          told = true
        }
        if (asked.forall(_.eval(row))) {
          rows.add(1)
          here.foreach(_.add(1))
          if (counters != null) error.filterNot(counters.isNullAt).foreach { i =>
            reasons.get(counters.getUTF8String(i).toString).foreach(_.add(1))
          }
        }
        project(row)
      }
    }
  }

  private def answerOf(value: Expression): Expression = if (!call.spec.tellsErrors) value else {
    def column(name: String) = position(name).map(GetStructField(raw, _))
    TypedAnswer.withError(value, column("error").getOrElse(Literal(null, StringType)), column("detail"))
  }

  private def position(field: String): Option[Int] = raw.dataType match {
    case s: StructType => Some(s.fieldNames.indexOf(field)).filter(_ >= 0)
    case _ => None
  }

  override def simpleString(maxFields: Int): String = LLMEval.describe(nodeName, call, guard, result, limit) +
    logicalLink.collect { case e: LLMEval => LLMEval.expected(e) }.getOrElse("")

  /** In EXPLAIN FORMATTED, which the Spark UI shows. */
  override def verboseStringWithOperatorId(): String = s"$formattedNodeName\n${simpleString(conf.maxToStringFields)}\n"
  override protected def withNewChildInternal(newChild: SparkPlan): LLMEvalExec = copy(child = newChild)
}

object LLMEvalExec {
  private val pilot = TreeNodeTag[Boolean]("sparkllm.isPilot")

  private[catalyst] def asPilot(node: LLMEvalExec): Unit = node.setTagValue(pilot, true)

  /** Each node with the pilots of its call; those whose call did not run, by themselves. */
  private[catalyst] def withPilots(nodes: Seq[LLMEvalExec]): Seq[Seq[LLMEvalExec]] = {
    val (pilots, others) = nodes.partition(_.isPilot)
    val groups = others.map(n => n +: pilots.filter(_.result.exprId == n.result.exprId))
    groups ++ pilots.filterNot(p => groups.exists(_.exists(_ eq p))).map(Seq(_))
  }

  /** Counters of what engines were asked, other than those of rows. */
  private[catalyst] def ofRequests(key: String): Boolean =
    key == "requests" || key.endsWith("_tokens") || key.endsWith("_ms")

  val reasons: Seq[String] = Seq("null_fields", "too_long", "truncated", "engine_error", "engine_killed", "budget")

  private def note(partition: Int, counters: InternalRow, at: Int, into: CollectionAccumulator[(Int, Int)]): Unit =
    if (!counters.isNullAt(at) && counters.getInt(at) > 0) into.add((partition, counters.getInt(at)))

  private def ofServer(name: String): String = name.replace("sent to vLLM", "sent to the endpoint")

  /** Key of the metric that counts the rows of a pool. */
  def rowsOn(pool: String): String = s"rows_on_$pool"

  /** Key of the report, field of Python's struct that feeds it (none: counted here), name in the Spark UI. */
  val counters: Seq[(String, Option[String], String)] = Seq(
    ("rows", None, "rows entering LLMEval"),
    ("distinct", Some("distinct"), "distinct prompts"),
    ("requests", Some("requests"), "requests sent to vLLM"),
    ("ledger_rows", Some("ledger_rows"), "rows answered from the ledger"),
    ("ledger_prompts", Some("ledger_prompts"), "prompts answered from the ledger"),
    ("prompt_tokens", Some("prompt_tokens"), "prompt tokens"),
    ("cached_tokens", Some("cached_tokens"), "cached prompt tokens"),
    ("output_tokens", Some("output_tokens"), "output tokens"),
    ("static_tokens", Some("static_tokens"), "instruction tokens"),
    ("cached_data_tokens", Some("cached_data_tokens"), "cached data tokens"),
    ("predicted_tokens", Some("predicted_tokens"), "cached prompt tokens, predicted"),
    ("predicted_data_tokens", Some("predicted_data_tokens"), "cached data tokens, predicted"),
    ("start_ms", Some("start_ms"), "engine start (ms)"),
    ("busy_ms", Some("busy_ms"), "asking, all tasks (ms)"),
    ("null_fields", None, "NULL: all fields null"),
    ("too_long", None, "NULL: prompt too long"),
    ("truncated", None, "NULL: answer cut"),
    ("engine_error", None, "NULL: engine error"),
    ("engine_killed", None, "NULL: the engine died of it"),

    ("budget", None, "NULL: budget used up"))
}
