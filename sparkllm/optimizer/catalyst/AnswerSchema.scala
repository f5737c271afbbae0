package sparkllm.catalyst

import scala.util.{Failure, Success, Try}

import org.apache.spark.sql.types._

/** The columns of a typed answer: `schema => 'name STRING, age INT'`. */
object AnswerSchema {
  private val example = "write schema => 'name STRING, age INT'"
  private val supported =
    "STRING, BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL, DATE, ARRAY<...> and STRUCT<...>"

  def parse(ddl: String): StructType = Try(DataType.fromDDL(ddl)) match {
    case Success(struct: StructType) =>
      check(struct, "")
      struct
    case Success(other) => throw new CallError(
      s"llm() expects schema to name its columns, got the type ${other.sql} alone; $example")
    case Failure(e) => throw new CallError(
      s"llm() expects schema to be columns as in CREATE TABLE, got '$ddl': ${reason(e)}; $example")
  }

  def show(schema: StructType): String = schema.fields.map(_.toDDL).mkString(", ")

  private def reason(e: Throwable): String =
    e.getMessage.linesIterator.map(_.trim).find(_.nonEmpty).getOrElse("").stripSuffix(".")

  /** Only what JSON carries without doubt: it has no bytes, no time zones, and its objects are no maps. */
  private def check(kind: DataType, path: String): Unit = kind match {
    case struct: StructType =>
      names(struct, path)
      struct.foreach(f => check(f.dataType, if (path.isEmpty) f.name else s"$path.${f.name}"))
    case ArrayType(element, _) => check(element, s"$path.element")
    case StringType | BooleanType | ByteType | ShortType | IntegerType | LongType | FloatType | DoubleType | DateType |
        _: DecimalType =>
    case other => throw new CallError(
      s"llm() cannot answer column '$path' of its schema as ${other.sql}; known: $supported (take STRING and cast it)")
  }

  private def names(struct: StructType, path: String): Unit = {
    if (struct.isEmpty) throw new CallError(
      s"llm() expects at least one column in its schema, got none${if (path.isEmpty) "" else s" in '$path'"}; $example")
    val lower = struct.fieldNames.map(_.toLowerCase)
    lower.diff(lower.distinct).headOption.foreach { name =>
      throw new CallError(s"llm() got column '$name' twice in its schema; give each column its own name")
    }
  }
}
