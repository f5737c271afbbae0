package sparkllm.catalyst

import com.fasterxml.jackson.databind.node.ObjectNode
import org.apache.spark.TaskContext
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{LeafExpression, Nondeterministic}
import org.apache.spark.sql.catalyst.expressions.codegen.CodegenFallback
import org.apache.spark.sql.types.{DataType, StringType}
import org.apache.spark.unsafe.types.UTF8String

/** `request` with the path of its task's TaskMark, which the executor alone knows, and with the address of the driver's
  * service. Its token goes with the tasks, as their code does, and is in no text of a plan. */
case class TaskRequest(request: String) extends LeafExpression with Nondeterministic with CodegenFallback {
  private val control = ControlChannel.current
  @transient private var text: UTF8String = _

  override def dataType: DataType = StringType
  override def nullable: Boolean = false
  override def toString: String = request

  override protected def initializeInternal(partitionIndex: Int): Unit = {
    val json = LLMSpec.mapper.readTree(request).asInstanceOf[ObjectNode]
    json.put("mark", TaskMark.path(TaskContext.get()).toString)
    control.foreach { case ControlChannel.At(location, token) =>
      json.putObject("control").put("location", location).put("token", token)
    }
    text = UTF8String.fromString(json.toString)
  }

  override protected def evalInternal(input: InternalRow): Any = text
}
