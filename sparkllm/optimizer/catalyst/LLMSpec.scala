package sparkllm.catalyst

import com.fasterxml.jackson.databind.ObjectMapper
import org.apache.spark.sql.types.StructType

/** What a call asks for, without its field expressions: what sparkllm/calls.py reads as JSON, and explains.
  *
  * @param function what the user called, `llm_translate`; None is `llm`
  * @param arguments the constants that a task was given, as they were given: String, Int or Seq of String
  * @param whole a text that is cut at `maxTokens` is no answer
  * @param order which field order its prompts have, one of LLMSpec.orders; None is the session's
  * @param onError null, fail or struct; None is as the session says
  * @param dataFirst how its prompts are laid out, where DataFirst has found other calls on the same fields */
case class LLMSpec(
    task: Option[String],
    prompt: Option[String],
    fields: Seq[String],
    labels: Seq[String],
    model: Option[String],
    schema: Option[StructType],
    order: Option[String] = None,
    dataFirst: Option[Layout] = None,
    function: Option[String] = None,
    arguments: Seq[(String, Any)] = Nil,
    maxTokens: Option[Int] = None,
    onError: Option[String] = None,
    whole: Boolean = false) {

  private def asked: String = order.getOrElse(LLMSpec.sessionOrder)

  /** Each row may get a field order of its own. */
  def perRow: Boolean = asked == LLMSpec.perRow

  /** Its fields stand as the query has them. */
  def fieldsAsTheyCome: Boolean = Seq("rows", LLMSpec.off).contains(asked)

  /** Its rows are asked in the order in which they come. */
  def rowsAsTheyCome: Boolean = asked == LLMSpec.off

  /** Its answers are STRUCTs of a text and of what was wrong. */
  def tellsErrors: Boolean = onError.contains("struct")

  /** Its one field holds the values of a group. */
  def grouped: Boolean = Tasks.table.exists(t => task.contains(t.name) && Seq("group", "texts").contains(t.first))

  def text: String = task.orElse(prompt).get

  /** None for a prompt, or a task of the user's own. */
  private def tableTask: Option[Task] = task.flatMap(name => Tasks.table.find(_.name == name))

  /** The only answers there are; none for free text. */
  def choices: Seq[String] = if (labels.nonEmpty) labels else tableTask.toSeq.flatMap(_.labels)

  /** Positions of the fields that the instruction holds, in the order of their first use: they precede all data. */
  def instructionFields: Seq[Int] =
    prompt.toSeq.flatMap(Template.placeholders).map(fields.indexOf(_)).filter(_ >= 0)

  /** The instruction, the labels and the columns of a typed answer: about as long as what the model is told. */
  def instruction: String = tableTask.map(t => t.instead.getOrElse(t.instruction)).getOrElse("") +
    prompt.getOrElse("") + labels.mkString(", ") + schema.map(AnswerSchema.show).getOrElse("")

  /** As the user wrote it, with these texts as its fields: what sparkllm/calls.py writes too. */
  def show(fields: Seq[String], quote: String => String, hint: Option[Double] = None): String = {
    def constant(value: Any): String = value match {
      case texts: Seq[_] => texts.map(t => quote(t.toString)).mkString("array(", ", ", ")")
      case text: String => quote(text)
      case other => other.toString
    }
    val (own, endpoint) = (function.isEmpty, tableTask.exists(_.first == "endpoint"))
    val told = own && (task.isEmpty || tableTask.nonEmpty) // else they are the task's own
    val positional = tableTask.map(_.first).filterNot(_ => own) match {
      case None if own => quote(text) +: fields
      case Some("endpoint") => Seq(quote(model.getOrElse("default")), quote(prompt.get))
      case Some("prompt" | "group") => quote(prompt.get) +: fields
      case Some("x") if fields.size != 1 => s"struct(${fields.mkString(", ")})" +: arguments.map(a => constant(a._2))
      case _ => fields ++ arguments.map(a => constant(a._2))
    }
    val named = Seq("labels" -> labels).filter(told && _._2.nonEmpty) ++ arguments.filter(_ => own || endpoint) ++
      model.filterNot(_ => endpoint).map("model" -> _) ++
      schema.filter(_ => told && task.isEmpty).map(s => "schema" -> AnswerSchema.show(s)) ++
      order.map("order" -> _) ++ maxTokens.map("max_tokens" -> _) ++ onError.map("on_error" -> _) ++
      hint.map("selectivity" -> _)
    (positional ++ named.map { case (name, value) => s"$name => ${constant(value)}" })
      .mkString(s"${function.getOrElse("llm")}(", ", ", ")")
  }

  def json: String = {
    val node = LLMSpec.mapper.createObjectNode()
    node.put("task", task.orNull)
    node.put("prompt", prompt.orNull)
    val names = node.putArray("fields")
    fields.foreach(name => names.add(name))
    val choices = node.putArray("labels")
    labels.foreach(label => choices.add(label))
    node.put("model", model.orNull)
    node.put("schema", schema.map(_.json).orNull)
    order.foreach(node.put("order", _))
    dataFirst.foreach { layout =>
      node.putObject("data_first").put("from_bytes", layout.fromBytes).put("follows", layout.follows)
    }
    function.foreach(node.put("function", _))
    if (arguments.nonEmpty) {
      val given = node.putObject("arguments")
      arguments.foreach {
        case (name, texts: Seq[_]) =>
          val list = given.putArray(name)
          texts.foreach(t => list.add(t.toString))
        case (name, number: Int) => given.put(name, number)
        case (name, other) => given.put(name, other.toString)
      }
    }
    maxTokens.foreach(n => node.put("max_tokens", n))
    onError.foreach(node.put("on_error", _))
    if (whole) node.put("whole", true)
    node.toString
  }
}

object LLMSpec {
  private[catalyst] val perRow = "rows+fields"
  private[catalyst] val off = "off"
  private[catalyst] val orders = Seq("fixed", "fields", "auto", perRow, "rows", off)

  private[catalyst] def sessionOrder: String = {
    val order = Setting(s"${Setting.prefix}order", orders.head)
    if (!orders.contains(order))
      throw new CallError(s"${Setting.prefix}order knows no '$order'${Nearest(order, orders)}")
    order
  }

  private[catalyst] val mapper = new ObjectMapper()
}
