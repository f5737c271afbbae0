package sparkllm.catalyst

import com.fasterxml.jackson.databind.ObjectMapper
import org.apache.spark.sql.types.StructType

/** What a call asks for, without its field expressions: what sparkllm/calls.py reads as JSON.
  *
  * @param order which field order its prompts have: fixed, auto or rows+fields; None is the session's
  * @param dataFirst how its prompts are laid out, where DataFirst has found other calls on the same fields */
case class LLMSpec(
    task: Option[String],
    prompt: Option[String],
    fields: Seq[String],
    labels: Seq[String],
    model: Option[String],
    schema: Option[StructType],
    order: Option[String] = None,
    dataFirst: Option[Layout] = None) {

  /** Each row may get a field order of its own. */
  def perRow: Boolean = order.getOrElse(LLMSpec.sessionOrder) == LLMSpec.perRow

  def text: String = task.orElse(prompt).get

  /** The only answers there are; none for free text. */
  def choices: Seq[String] = if (labels.nonEmpty) labels else task.toSeq.flatMap(Tasks.labels)

  /** Positions of the fields that the instruction holds, in the order of their first use: they precede all data. */
  def instructionFields: Seq[Int] =
    prompt.toSeq.flatMap(Template.placeholders).map(fields.indexOf(_)).filter(_ >= 0)

  /** The instruction, the labels and the columns of a typed answer: about as long as what the model is told. */
  def instruction: String = prompt.getOrElse(Tasks.instruction(text)) + labels.mkString(", ") +
    schema.map(AnswerSchema.show).getOrElse("")

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
    node.toString
  }
}

object LLMSpec {
  private[catalyst] val perRow = "rows+fields"
  private[catalyst] val orders = Seq("fixed", "auto", perRow)

  private[catalyst] def sessionOrder: String = {
    val order = Setting(s"${Setting.prefix}order", orders.head)
    if (!orders.contains(order))
      throw new CallError(s"${Setting.prefix}order knows no '$order'${Nearest(order, orders)}")
    order
  }

  private[catalyst] val mapper = new ObjectMapper()
}
