package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions.{Left => _, Right => _, _}
import org.apache.spark.sql.types.StringType

/** A prompt, and the columns that it is made of, by their names in it. */
case class PromptText(text: String, made: Seq[(String, Expression)])

/** Takes a prompt apart: prompts of one form then share their beginning, and a value cannot end its place.
  *
  * `'Is ' || title || ' good?'` -> `Is {title} good?` with the field title; a column alone -> `{prompt_column}`, the
  * whole prompt; a constant is a prompt as in `llm()`, or plain text where its task takes no template. Braces in the
  * texts of a `||` are plain text. */
object PromptText {
  def apply(e: Expression, constants: Constants, template: Boolean): PromptText =
    if (constants.isConstant(e)) {
      val text = constants.text(e, "its prompt")
      PromptText(if (template) text else Template.plain(text), Nil)
    } else {
      val found = parts(e)
      found.foreach {
        case Right(piece) if piece.resolved && (piece eq e) && !piece.dataType.isInstanceOf[StringType] =>
          throw new CallError(
            s"${constants.function}() expects its prompt to be a STRING, got a ${e.dataType.sql}; ${constants.usage}")
        case _ =>
      }
      val columns = found.collect { case Right(c) => c }.foldLeft(Seq.empty[Expression]) { (seen, c) =>
        if (seen.exists(same(_, c))) seen else seen :+ c
      }
      val names = FieldNames.distinct(FieldNames(columns).map(_._1).zip(columns).zipWithIndex.map {
        case ((name, c), i) => (if (Template.isName(name)) name else s"col${i + 1}", c)
      })
      val text = found.map {
        case Left(words) => Template.plain(words)
        case Right(c) => s"{${names.find(n => same(n._2, c)).get._1}}"
      }
      PromptText(text.mkString, names)
    }

  /** A random one is the same as itself alone. */
  private def same(a: Expression, b: Expression): Boolean = (a eq b) || a.semanticEquals(b)

  /** The fields that the user wrote as such. */
  def written(call: LLMCall): Seq[Expression] = call.fields.drop(call.made).dropRight(call.implied).map {
    case If(_, field, Literal(null, _) | PrettyAttribute("NULL", _)) if call.made > 0 => field // see `fields`
    case field => field
  }

  private def parts(e: Expression): Seq[Either[String, Expression]] = e match {
    case Literal(value, _: StringType) if value != null => Seq(Left(value.toString))
    case c: Concat if !c.resolved || c.dataType.isInstanceOf[StringType] => c.children.flatMap(parts)
    case c: Cast if c.dataType.isInstanceOf[StringType] && !c.child.isInstanceOf[Literal] => Seq(Right(c.child))
    case c if c.resolved && c.foldable && c.dataType.isInstanceOf[StringType] && c.eval() != null =>
      Seq(Left(c.eval().toString))
    case column => Seq(Right(column))
  }

  /** The fields, NULL where the prompt is: where any column that it is made of is. */
  def fields(made: Seq[Expression], others: Seq[Expression]): Seq[Expression] = {
    val needed = made.filter(m => !m.resolved || m.nullable)
    def where(e: Expression): Expression =
      needed.filterNot(same(_, e)).map(IsNotNull(_): Expression).reduceOption(And(_, _)) match {
        case Some(condition) => If(condition, e, if (e.resolved) Literal(null, e.dataType) else Literal(null))
        case None => e
      }
    (made ++ others).map(where)
  }
}
