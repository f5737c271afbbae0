package sparkllm.catalyst

import java.util.{LinkedHashMap, Map => JavaMap}

import org.apache.spark.sql.catalyst.expressions.{Attribute, ExprId}

/** On the driver: what the pass that places the rows expects of each slot, for InPools, which runs them above an
  * exchange. By the column with the field order, which both have. */
object PlannedSeconds {
  private val most = 100
  private val kept = new LinkedHashMap[ExprId, Array[Array[Double]]]() {
    override def removeEldestEntry(eldest: JavaMap.Entry[ExprId, Array[Array[Double]]]): Boolean = size > most
  }

  def put(order: Attribute, seconds: Array[Array[Double]]): Unit =
    kept.synchronized { kept.put(order.exprId, seconds): Unit }

  /** Nothing where the exchange is that of an equal query, or was read from elsewhere. */
  def of(order: Attribute): Option[Array[Array[Double]]] = kept.synchronized(Option(kept.get(order.exprId)))
}
