package sparkllm.catalyst

import org.apache.spark.sql.catalyst.analysis.{UnresolvedAttribute, UnresolvedFunction}
import org.apache.spark.sql.catalyst.expressions._

/** The SQL function of a task, `llm_translate(x, 'French')`: what its entry in tasks.json says, and no code of its own.
  *
  * @param function what the user called; None is `llm('task', ...)` */
case class TaskFunction(task: Task, function: Option[String]) {
  private val called = function.getOrElse("llm")
  private val constants = Constants(called, s"it is ${task.signature}")

  def build(arguments: Seq[Expression]): Expression = {
    val names = task.arguments.map(_.name)
    val (positional, named) = CallOptions.split(arguments, names ++ CallOptions.names, called)
    call(positional, named)
  }

  /** @param arguments the data, or the prompt and its fields, and then the task's own */
  def call(arguments: Seq[Expression], named: Map[String, Expression]): Expression = {
    val (prompt, fields, rest) = first(arguments)
    val given = constantsOf(rest, named)
    val held = this.held(given.toMap)
    val options = CallOptions(named, constants)
    val written = prompt.map(_.text).orElse(Some(task.instruction).filter(_ => task.held.nonEmpty))
    TaskFunction.call(
      LLMSpec(
        task = Some(task.name), prompt = written, fields = Nil, labels = held.labels, model = options.model,
        schema = held.schema, order = options.order, function = function,
        arguments = given.filter(a => function.nonEmpty || !inLabels.contains(a._1)), maxTokens = options.maxTokens,
        onError = options.onError, whole = held.labels.isEmpty && choices.isEmpty && held.schema.isEmpty),
      prompt.toSeq.flatMap(_.made), fields, held.reading, options.selectivity)
  }

  private def inLabels: Seq[String] = task.arguments.filter(_.kind == "LABELS").map(_.name)

  private def choices: Seq[String] = if (task.output == "LABELS") task.labels else Nil

  private def first(arguments: Seq[Expression]): (Option[PromptText], Seq[(String, Expression)], Seq[Expression]) = {
    def wrong(expected: String) = new CallError(
      s"$called() expects $expected, got ${if (arguments.isEmpty) "nothing" else s"${arguments.size} arguments"}; " +
        constants.usage)
    task.first match {
      case "prompt" =>
        if (arguments.isEmpty) throw wrong("a prompt first")
        (Some(PromptText(arguments.head, constants, task.template)), FieldNames(arguments.tail), Nil)
      case "group" =>
        if (arguments.size != 2) throw wrong("a prompt and the values of a group")
        val prompt = PromptText(arguments.head, constants, template = false)
        if (prompt.made.nonEmpty)
          throw new CallError(s"$called() expects its prompt to be a constant STRING; ${constants.usage}")
        (Some(prompt), Seq(TaskFunction.group(arguments(1))), Nil)
      case "texts" =>
        if (arguments.isEmpty) throw wrong("the values of a group first")
        (None, Seq(TaskFunction.group(arguments.head)), arguments.tail)
      case "fields" =>
        if (arguments.isEmpty) throw wrong("at least one field")
        (None, FieldNames(arguments), Nil)
      case kind =>
        val data = if (kind == "pair") 2 else 1
        if (arguments.size < data) throw wrong(if (data == 1) "its data first" else "two texts")
        (None, FieldNames(arguments.take(data)), arguments.drop(data))
    }
  }

  private def constantsOf(rest: Seq[Expression], named: Map[String, Expression]): Seq[(String, Any)] = {
    if (rest.size > task.arguments.size) throw new CallError(
      s"$called() got ${rest.size - task.arguments.size} arguments too many; ${constants.usage}" +
        (if (task.first == "prompt") "" else ", and several columns go into struct(title, body)"))
    task.arguments.zipWithIndex.flatMap { case (argument, i) =>
      val byName = named.get(argument.name)
      if (byName.nonEmpty && i < rest.size)
        throw new CallError(s"$called() got '${argument.name}' twice; give it once")
      val given = rest.lift(i).orElse(byName)
      if (given.isEmpty && argument.default.isEmpty)
        throw new CallError(s"$called() expects ${argument.name}, got none; ${constants.usage}")
      given.map(e => argument.name -> constants.argument(e, argument))
    }
  }

  private def held(given: Map[String, Any]): Held = task.held.getOrElse(task.output match {
    case "LABELS" =>
      // `llm('classify', x)` travels without them, as it always has
      val byDefault = if (function.nonEmpty) task.labels else Nil
      val own = task.arguments.find(_.kind == "LABELS").flatMap(a => given.get(a.name))
      Held(own.map(_.asInstanceOf[Seq[String]]).getOrElse(byDefault), None, "text")
    case "SCHEMA" =>
      val schema = given(task.arguments.find(_.kind == "SCHEMA").get.name) match {
        case names: Seq[_] => names.map(n => s"`${n.toString.replace("`", "``")}` STRING").mkString(", ")
        case ddl => ddl.toString
      }
      Held(Nil, Some(AnswerSchema.parse(schema, called)), "columns")
    case output => AnswerSchema.held(output, called)
  })
}

object TaskFunction {
  /** The values of a group as one JSON list, which the worker cuts into parts (sparkllm/udf/reduction.py). Sorted, so
    * that the same group is the same prompt, however its rows came. */
  private def group(x: Expression): (String, Expression) = {
    def of(function: String, argument: Expression) = UnresolvedFunction(function, Seq(argument), isDistinct = false)
    ("texts", of("to_json", of("sort_array", of("collect_list", x))))
  }

  /** The call of a spec that lacks its fields. A placeholder of the prompt that names no field is a column.
    *
    * @param made columns that the prompt is made of */
  def call(
      spec: LLMSpec, made: Seq[(String, Expression)], others: Seq[(String, Expression)], reading: String,
      selectivity: Option[Double], names: (String, String) = TypedAnswer.valueAndError): Expression = {
    val passed = FieldNames.distinct(made ++ others)
    val missing = spec.prompt.toSeq.flatMap(Template.placeholders).filterNot(passed.map(_._1).contains)
    val implied = missing.map(name => UnresolvedAttribute(name.split('.').toSeq))
    val fields = PromptText.fields(made.map(_._2), others.map(_._2) ++ implied)
    val whole = spec.copy(fields = passed.map(_._1) ++ missing)
    TypedAnswer(LLMCall(whole, fields, implied.size, selectivity, made.size), reading, names)
  }
}
