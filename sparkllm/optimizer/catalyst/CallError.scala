package sparkllm.catalyst

import org.apache.spark.sql.AnalysisException

/** A call that cannot be: Python sees it as pyspark.errors.AnalysisException.
  *
  * Spark's own constructors build the message from a list of error classes that nobody can add to. This one keeps the
  * message and names the class for texts from outside: PySpark looks the class up and fails where there is none. */
class CallError(text: String) extends AnalysisException(
  text, errorClass = Some("USER_RAISED_EXCEPTION"), messageParameters = Map("errorMessage" -> text))
