package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._

/** The SQL function `llm(prompt or task, field..., labels => array(...), schema => '...', ...)`. */
object LLMFunction {
  private val usage = "write llm('classify', review) or llm('Which taste does {review} praise?')"
  private val oneWord = "[A-Za-z_][A-Za-z0-9_-]*"
  private val constants = Constants("llm", usage)

  def build(arguments: Seq[Expression]): Expression = {
    val ofTasks = Tasks.known.flatMap(_.arguments.map(_.name))
    val options = "labels" +: "schema" +: CallOptions.names
    val (positional, named) = CallOptions.split(arguments, (options ++ ofTasks).distinct, "llm")
    if (positional.isEmpty) throw new CallError(s"llm() expects a prompt or a task name first, got nothing; $usage")
    val first = constants.text(positional.head, "its first argument, a prompt or a task name,")
    // 'classify ' is a word too: nobody asks a prompt of one word
    if (first.strip.matches(oneWord)) ofTask(first.strip, positional.tail, named)
    else {
      ofTasks.filter(n => named.contains(n) && !options.contains(n)).foreach { name =>
        throw new CallError(s"llm() takes '$name' with a task alone, got it beside a prompt of your own")
      }
      prompt(first, positional.tail, named)
    }
  }

  private def prompt(text: String, fields: Seq[Expression], named: Map[String, Expression]): Expression = {
    val schema = named.get("schema").map(e => AnswerSchema.parse(constants.text(e, "schema")))
    if (schema.nonEmpty && named.contains("labels")) throw new CallError(
      "llm() takes labels or schema, got both: labels give one STRING, a schema gives a STRUCT; leave one out")
    val options = CallOptions(named, constants)
    val labels = named.get("labels").map(constants.texts(_, "labels")).getOrElse(Nil)
    val spec = LLMSpec(
      task = None, prompt = Some(text), fields = Nil, labels = labels, model = options.model, schema = schema,
      order = options.order, maxTokens = options.maxTokens, onError = options.onError)
    val reading = if (schema.isEmpty) "text" else "columns"
    TaskFunction.call(spec, Nil, FieldNames(fields), reading, options.selectivity)
  }

  private def ofTask(name: String, fields: Seq[Expression], named: Map[String, Expression]): Expression = {
    val task = Tasks.known.find(_.name == name).getOrElse {
      val near = Nearest.andThen(name, Tasks.names, "A prompt of your own has more than one word.")
      throw new CallError(s"llm() knows no task '$name'$near")
    }
    if (task.first == "prompt")
      throw new CallError(s"the task '$name' takes a prompt; write ${task.function}('Is it good?', review)")
    if (fields.isEmpty) throw new CallError(
      s"llm('$name') expects at least one field, got none; write llm('$name', review) or llm('$name', *)")
    val own = task.arguments.map(_.name)
    named.keys.find(n => !own.contains(n) && !CallOptions.names.contains(n)).foreach { n =>
      throw new CallError(s"llm('$name')${notTaken(n, task)}; write a prompt of your own: " +
        "llm('Who wrote it, and how old are they?', review, schema => 'name STRING, age INT')")
    }
    // all of them are its data
    val data = if (task.first == "x") Seq(CreateNamedStruct(FieldNames(fields).flatMap(f => Seq(Literal(f._1), f._2))))
    else fields
    TaskFunction(task, None).call(data, named)
  }

  private def notTaken(name: String, task: Task): String =
    if (name == "schema" && task.output == "LABELS") " answers with one of its labels, so it takes no schema"
    else s" takes no $name"
}
