package sparkllm.catalyst

import org.apache.spark.sql.SparkSessionExtensions
import org.apache.spark.sql.catalyst.FunctionIdentifier
import org.apache.spark.sql.catalyst.analysis.FunctionRegistry
import org.apache.spark.sql.catalyst.expressions.{Expression, ExpressionInfo}

/** The SQL functions: llm, one for each task, and those that other platforms know by the names ai_*.
  *
  * Those are left to a platform that has them itself. */
object Functions {
  type Builder = Seq[Expression] => Expression

  private def all: Seq[(String, Builder)] = ("llm", LLMFunction.build _) +:
    (Tasks.table ++ Tasks.ownTasks).map(task => (task.function, builder(task)))

  private def builder(task: Task): Builder =
    if (task.first == "endpoint") AiQuery(task).build else TaskFunction(task, Some(task.function)).build

  /** What DESCRIBE FUNCTION says. */
  private def info(name: String) = {
    val usage = (Tasks.table ++ Tasks.ownTasks).find(_.function == name).map(_.signature)
      .getOrElse("llm(prompt or task, field...)")
    new ExpressionInfo(classOf[LLMCall].getName, null, name, s"$usage - asks the model about each row", "")
  }

  private def known(registry: FunctionRegistry, name: String): Boolean = identifier(registry, name).nonEmpty

  // Spark 4.3 qualifies names (builtin, session), earlier ones do not
  private def identifier(registry: FunctionRegistry, name: String): Option[FunctionIdentifier] =
    registry.listFunction().find(_.funcName.equalsIgnoreCase(name))

  private def ours(registry: FunctionRegistry, name: String): Boolean =
    identifier(registry, name).flatMap(registry.lookupFunction).exists(_.getClassName == classOf[LLMCall].getName)

  /** For the sessions that are to come. */
  def inject(extensions: SparkSessionExtensions): Unit = all.foreach { case (name, builder) =>
    if (!name.startsWith("ai_") || !known(FunctionRegistry.builtin, name)) inject(extensions, name, builder)
  }

  private def inject(extensions: SparkSessionExtensions, name: String, builder: Builder): Unit =
    extensions.injectFunction((FunctionIdentifier(name), info(name), builder))

  /** For a session that has begun. */
  def register(registry: FunctionRegistry): Unit = all.foreach { case (name, builder) =>
    if (!name.startsWith("ai_") || !known(registry, name)) register(registry, name, builder)
  }

  /** Spark warns of every function that it replaces: ours stay, they are the same. */
  private def register(registry: FunctionRegistry, name: String, builder: Builder): Unit =
    if (!ours(registry, name))
      registry.registerFunction(identifier(registry, "upper").get.copy(funcName = name), info(name), builder)

  /** A task of the user's own, for a session that has begun and for those that are to come. */
  def add(json: String, registry: FunctionRegistry, extensions: SparkSessionExtensions): Unit = {
    val task = Tasks.read(json)
    if (known(registry, task.function) && !ours(registry, task.function)) throw new CallError(
      s"this session has a function ${task.function} already; give the task '${task.name}' another name")
    Tasks.add(task)
    val late = known(registry, "llm") && !known(registry, task.function)
    if (late) { // else this session gets all of them, once it is registered, or has it
      register(registry, task.function, builder(task))
      inject(extensions, task.function, builder(task))
    }
  }
}
