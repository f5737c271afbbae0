package sparkllm.catalyst

import org.apache.spark.sql.catalyst.FunctionIdentifier
import org.apache.spark.sql.catalyst.analysis.{FunctionRegistry, UnresolvedAttribute}
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types.{ArrayType, DoubleType, NumericType, StringType}

/** The SQL function `llm(prompt or task, field..., labels => array(...), model => '...', schema => '...',
  * order => '...', selectivity => ...)`. */
object LLMFunction {
  val identifier: FunctionIdentifier = FunctionIdentifier("llm")
  val info: ExpressionInfo = new ExpressionInfo(classOf[LLMCall].getName, null, "llm")

  val builder: Seq[Expression] => Expression = build

  /** For a session that has begun. Spark 4.3 qualifies names (builtin, session), earlier ones do not: as `upper`. */
  def register(registry: FunctionRegistry): Unit = {
    val like = registry.listFunction().find(_.funcName == "upper").get
    registry.registerFunction(like.copy(funcName = identifier.funcName), info, builder)
  }

  private val usage = "write llm('classify', review) or llm('Which taste does {review} praise?')"
  private val oneWord = "[A-Za-z_][A-Za-z0-9_-]*"
  private val options = Seq("labels", "model", "schema", "order", "selectivity")

  private def build(arguments: Seq[Expression]): Expression = {
    val given = arguments.collect { case NamedArgumentExpression(key, value) => (key.toLowerCase, value) }
    val positional = arguments.filterNot(_.isInstanceOf[NamedArgumentExpression])
    checkOptions(given.map(_._1))
    val named = given.toMap
    if (positional.isEmpty) throw new CallError(s"llm() expects a prompt or a task name first, got nothing; $usage")
    val first = constant(positional.head, "its first argument, a prompt or a task name,")
    val isTask = first.strip.matches(oneWord) // 'classify ' is a word too: nobody asks a prompt of one word
    val text = if (isTask) first.strip else first
    if (isTask) checkTask(text, positional.tail)
    call(text, isTask, positional.tail, named)
  }

  private def call(
      text: String, isTask: Boolean, fields: Seq[Expression], named: Map[String, Expression]): Expression = {
    val schema = named.get("schema").map(e => AnswerSchema.parse(constant(e, "schema")))
    if (schema.nonEmpty) checkTyped(named.contains("labels"), Some(text).filter(_ => isTask))
    val passed = FieldNames(fields)
    val missing = if (isTask) Nil else Template.placeholders(text).filterNot(passed.map(_._1).contains)
    val implied = missing.map(name => (name, UnresolvedAttribute(name.split('.').toSeq)))
    val all = passed ++ implied
    val spec = LLMSpec(
      task = Some(text).filter(_ => isTask),
      prompt = Some(text).filterNot(_ => isTask),
      fields = all.map(_._1),
      labels = named.get("labels").map(labels).getOrElse(Nil),
      model = named.get("model").map(constant(_, "model")),
      schema = schema,
      order = named.get("order").map(order))
    TypedAnswer(LLMCall(spec, all.map(_._2), implied.size, named.get("selectivity").map(selectivity)))
  }

  private def checkOptions(names: Seq[String]): Unit = {
    names.find(!options.contains(_)).foreach { name =>
      throw new CallError(s"llm() has no argument '$name'${Nearest(name, options)} Fields are given without names.")
    }
    names.diff(names.distinct).headOption.foreach { name =>
      throw new CallError(s"llm() got '$name' twice; give it once")
    }
  }

  private def checkTask(name: String, fields: Seq[Expression]): Unit = {
    if (!Tasks.names.contains(name)) {
      val near = Nearest(name, Tasks.names)
      throw new CallError(s"llm() knows no task '$name'$near A prompt of your own has more than one word.")
    }
    if (fields.isEmpty) {
      throw new CallError(
        s"llm('$name') expects at least one field, got none; write llm('$name', review) or llm('$name', *)")
    }
  }

  private def checkTyped(labels: Boolean, task: Option[String]): Unit = {
    if (labels) throw new CallError(
      "llm() takes labels or schema, got both: labels give one STRING, a schema gives a STRUCT; leave one out")
    task.foreach(name => throw new CallError(
      s"llm('$name') answers with one of its labels, so it takes no schema; write a prompt of your own: " +
        "llm('Who wrote it, and how old are they?', review, schema => 'name STRING, age INT')"))
  }

  private def order(e: Expression): String = {
    val order = constant(e, "order")
    if (!LLMSpec.orders.contains(order))
      throw new CallError(s"llm() knows no order '$order'${Nearest(order, LLMSpec.orders)}")
    order
  }

  private def selectivity(e: Expression): Double = {
    def wrong(found: String) = new CallError(
      s"llm() expects selectivity to be a constant number above 0 and at most 1 (the share of rows that a condition " +
        s"over the answer keeps), got $found; write selectivity => 0.1")
    if (!e.resolved || !e.foldable) throw wrong(s"${e.sql}, which is no constant")
    if (!e.dataType.isInstanceOf[NumericType]) throw wrong(s"a ${e.dataType.sql}")
    Cast(e, DoubleType).eval() match {
      case share: Double if share > 0 && share <= 1 => share
      case other => throw wrong(if (other == null) "NULL" else other.toString)
    }
  }

  private def constant(e: Expression, what: String): String = {
    def found = if (e.resolved && e.foldable) s"a ${e.dataType.sql} constant" else s"${e.sql}, which is no constant"
    if (!e.resolved || !e.foldable || !e.dataType.isInstanceOf[StringType]) {
      throw new CallError(s"llm() expects $what to be a constant STRING, got $found; $usage")
    }
    val value = e.eval()
    if (value == null) throw new CallError(s"llm() expects $what to be a constant STRING, got NULL; $usage")
    val text = value.toString
    if (text.trim.isEmpty) throw new CallError(s"llm() expects $what to hold text, got an empty STRING; $usage")
    text
  }

  private def labels(e: Expression): Seq[String] = {
    def wrong(found: String) = new CallError(
      s"llm() expects labels to be a constant array of at least 2 different, non-empty strings, got $found; " +
        "write labels => array('yes', 'no')")
    if (!e.resolved || !e.foldable) throw wrong(s"${e.sql}, which is no constant")
    val texts = (e.dataType, e.eval()) match {
      case (ArrayType(_: StringType, _), array: ArrayData) => array.toSeq[Any](StringType)
      case (_, null) => throw wrong("NULL")
      case (other, _) => throw wrong(s"a ${other.sql}")
    }
    val names = texts.map(t => if (t == null) throw wrong("a NULL label") else t.toString)
    if (names.exists(_.trim.isEmpty)) throw wrong("an empty label")
    names.diff(names.distinct).headOption.foreach(n => throw wrong(s"'$n' twice"))
    if (names.size < 2) throw wrong(s"${names.size}")
    names
  }
}
