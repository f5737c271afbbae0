package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types._

/** Reads the constants among a function's arguments.
  *
  * @param usage what to write, for errors about its first argument */
case class Constants(function: String, usage: String) {
  def isConstant(e: Expression): Boolean = e.resolved && e.foldable

  def text(e: Expression, what: String): String = {
    def found = if (isConstant(e)) s"a ${e.dataType.sql} constant" else s"${e.sql}, which is no constant"
    if (!isConstant(e) || !e.dataType.isInstanceOf[StringType])
      throw new CallError(s"$function() expects $what to be a constant STRING, got $found; $usage")
    val value = e.eval()
    if (value == null) throw new CallError(s"$function() expects $what to be a constant STRING, got NULL; $usage")
    val text = value.toString
    if (text.trim.isEmpty)
      throw new CallError(s"$function() expects $what to hold text, got an empty STRING; $usage")
    text
  }

  def oneOf(e: Expression, what: String, known: Seq[String]): String = {
    val value = text(e, what)
    if (!known.contains(value)) throw new CallError(s"$function() knows no $what '$value'${Nearest(value, known)}")
    value
  }

  def int(e: Expression, what: String, least: Int): Int = {
    def wrong(found: String) =
      new CallError(s"$function() expects $what to be a constant INT of $least or more, got $found")
    if (!isConstant(e)) throw wrong(s"${e.sql}, which is no constant")
    (e.dataType, e.eval()) match {
      case (_, null) => throw wrong("NULL")
      case (IntegerType, number: Int) if number >= least => number
      case (IntegerType, number) => throw wrong(number.toString)
      case (other, _) => throw wrong(s"a ${other.sql}")
    }
  }

  def boolean(e: Expression, what: String): Boolean = {
    val value = if (isConstant(e) && e.dataType == BooleanType) e.eval() else null
    if (value == null)
      throw new CallError(s"$function() expects $what to be true or false, a constant, got ${e.sql}")
    value.asInstanceOf[Boolean]
  }

  def selectivity(e: Expression): Double = {
    def wrong(found: String) = new CallError(
      s"$function() expects selectivity to be a constant number above 0 and at most 1 (the share of rows that a " +
        s"condition over the answer keeps), got $found; write selectivity => 0.1")
    if (!isConstant(e)) throw wrong(s"${e.sql}, which is no constant")
    if (!e.dataType.isInstanceOf[NumericType]) throw wrong(s"a ${e.dataType.sql}")
    Cast(e, DoubleType).eval() match {
      case share: Double if share > 0 && share <= 1 => share
      case other => throw wrong(if (other == null) "NULL" else other.toString)
    }
  }

  /** At least so many different texts. */
  def texts(e: Expression, what: String, least: Int = 2, example: String = "array('yes', 'no')"): Seq[String] = {
    def wrong(found: String) = new CallError(
      s"$function() expects $what to be a constant array of at least $least different, non-empty strings, got " +
        s"$found; write ${if (function == "llm") s"$what => " else ""}$example")
    if (!isConstant(e)) throw wrong(s"${e.sql}, which is no constant")
    val texts = (e.dataType, e.eval()) match {
      case (ArrayType(_: StringType, _), array: ArrayData) => array.toSeq[Any](StringType)
      case (_, null) => throw wrong("NULL")
      case (other, _) => throw wrong(s"a ${other.sql}")
    }
    val names = texts.map(t => if (t == null) throw wrong("a NULL label") else t.toString)
    if (names.exists(_.trim.isEmpty)) throw wrong("an empty label")
    names.diff(names.distinct).headOption.foreach(n => throw wrong(s"'$n' twice"))
    if (names.size < least) throw wrong(s"${names.size}")
    names
  }

  /** A constant as its type in tasks.json has it: String, Int or Seq of Strings. */
  def argument(e: Expression, of: TaskArgument): Any = of.kind match {
    case "STRING" => text(e, of.name)
    case "INT" => int(e, of.name, 0)
    case "SCHEMA" if !e.resolved || !e.dataType.isInstanceOf[ArrayType] => text(e, of.name)
    case "LABELS" => texts(e, of.name)
    case _ => texts(e, of.name, least = 1, "array('name', 'email')")
  }
}
