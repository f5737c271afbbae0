package sparkllm.catalyst

import scala.util.{Failure, Success, Try}

import org.apache.spark.sql.types._

/** The columns of a typed answer: `schema => 'name STRING, age INT'`. */
object AnswerSchema {
  private val example = "write schema => 'name STRING, age INT'"
  private val supported =
    "STRING, BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL, DATE, ARRAY<...> and STRUCT<...>"

  /** Name of the one column that holds a value that is no STRUCT. */
  val alone = "answer"

  def parse(ddl: String, function: String = "llm"): StructType = Try(DataType.fromDDL(ddl)) match {
    case Success(struct: StructType) => checked(struct, function)
    case Success(other) => throw new CallError(
      s"$function() expects schema to name its columns, got the type ${other.sql} alone; $example")
    case Failure(e) => throw new CallError(
      s"$function() expects schema to be columns as in CREATE TABLE, got '$ddl': ${reason(e)}; $example")
  }

  def checked(struct: StructType, function: String): StructType = {
    check(struct, "", function)
    struct
  }

  /** How an answer of this type is held: STRING, BOOLEAN, another type alone, or columns. */
  def held(output: String, function: String): Held = output.strip.toUpperCase match {
    case "STRING" => Held(Nil, None, "text")
    case "BOOLEAN" => Held(Tasks.booleans, None, "boolean")
    case text =>
      val one = Try(StructType.fromDDL(s"$alone $output")).toOption.filter(_.size == 1)
      one.filterNot(_ => text.matches("STRUCT\\s*<(?s:.*)")).map(s => Held(Nil, Some(checked(s, function)), "answer"))
        .getOrElse(Held(Nil, Some(parse(output, function)), "columns"))
  }

  def show(schema: StructType): String = schema.fields.map(_.toDDL).mkString(", ")

  private def reason(e: Throwable): String =
    e.getMessage.linesIterator.map(_.trim).find(_.nonEmpty).getOrElse("").stripSuffix(".")

  /** Only what JSON carries without doubt: it has no bytes, no time zones, and its objects are no maps. */
  private def check(kind: DataType, path: String, function: String): Unit = kind match {
    case struct: StructType =>
      names(struct, path, function)
      struct.foreach(f => check(f.dataType, if (path.isEmpty) f.name else s"$path.${f.name}", function))
    case ArrayType(element, _) => check(element, s"$path.element", function)
    case StringType | BooleanType | ByteType | ShortType | IntegerType | LongType | FloatType | DoubleType | DateType |
        _: DecimalType =>
    case other => throw new CallError(
      s"$function() cannot answer column '$path' of its schema as ${other.sql}; known: $supported (take STRING " +
        "and cast it)")
  }

  private def names(struct: StructType, path: String, function: String): Unit = {
    if (struct.isEmpty) throw new CallError(
      s"$function() expects at least one column in its schema, got none${if (path.isEmpty) "" else s" in '$path'"}; " +
        example)
    val lower = struct.fieldNames.map(_.toLowerCase)
    lower.diff(lower.distinct).headOption.foreach { name =>
      throw new CallError(s"$function() got column '$name' twice in its schema; give each column its own name")
    }
  }
}
