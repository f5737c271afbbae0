package sparkllm.catalyst

import scala.jdk.CollectionConverters._
import scala.util.{Failure, Success, Try}

import org.apache.spark.sql.{SparkSession, SparkSessionExtensions}

/** Brings the extension into a session that runs already (a notebook's), to the same plans.
  *
  * Spark asks a session's SparkSessionExtensions for optimizer rules and strategies at every query, so extending that
  * object is enough for them; functions, normalisation and check rules were read when the session began and are set
  * here. Safe to call again. */
object Install {
  /** Returns what could not be installed. */
  def install(session: SparkSession): java.util.List[String] = {
    val state = session.sessionState
    val steps = Seq[(String, () => Unit)](
      ("optimizer rules", () => extend(session)),
      ("functions", () => Functions.register(state.functionRegistry)),
      ("extraction of calls", () => append(state, "planNormalizationRules", ExtractCalls(late = false))),
      ("checks of aggregates", () => append(state.analyzer, "hintResolutionRules", CheckAggregates)),
      ("early checks", () => append(state.analyzer, "extendedCheckRules", CheckCalls)),
      ("pilot runs", () => append(state.adaptiveRulesHolder, "runtimeOptimizerRules", PilotRun(session))),
      ("last rules", () => SparkLLMExtensions.addLast(session)),
      ("query reports", () => listen(session)))
    steps.flatMap { case (name, step) =>
      Try(step()) match {
        case Success(_) => None
        case Failure(e) => Some(s"$name ($e)")
      }
    }.asJava
  }

  /** A task of the user's own, as sparkllm/own_tasks.py writes it; for this session and those that come of it. */
  def addTask(session: SparkSession, json: String): Unit =
    Functions.add(json, session.sessionState.functionRegistry, extensions(session))

  private def extend(session: SparkSession): Unit = new SparkLLMExtensions()(extensions(session))

  private def extensions(session: SparkSession): SparkSessionExtensions = {
    val method = session.getClass.getMethods.find(m => m.getName == "extensions" && m.getParameterCount == 0).get
    method.invoke(session).asInstanceOf[SparkSessionExtensions]
  }

  private def listen(session: SparkSession): Unit = {
    val manager = session.listenerManager
    // private in Scala, public in the class file
    val present = manager.getClass.getMethod("listListeners").invoke(manager).asInstanceOf[Array[_]]
    if (!present.exists(_.isInstanceOf[ReportListener])) manager.register(new ReportListener)
  }

  /** Appends to a private final Seq: Spark offers no other way once the session has begun. */
  private def append(owner: AnyRef, name: String, value: Any): Unit = {
    val classes = Iterator.iterate[Class[_]](owner.getClass)(_.getSuperclass).takeWhile(_ != null)
    val fields = classes.flatMap(_.getDeclaredFields.iterator).filter(_.getName == name).toSeq
    if (fields.isEmpty) throw new NoSuchFieldException(s"${owner.getClass.getName}.$name")
    fields.foreach { field =>
      field.setAccessible(true)
      field.get(owner) match {
        case present: Seq[_] if !present.contains(value) => field.set(owner, present :+ value)
        case _ =>
      }
    }
  }
}
