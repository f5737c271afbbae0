package sparkllm.catalyst

import java.nio.charset.StandardCharsets.UTF_8
import java.util.{LinkedHashMap, UUID}
import java.util.Map.Entry

import org.apache.spark.sql.catalyst.expressions._

/** Tokens of a request, on average: its own ones in the prompt, without the instruction that all share, and those of
  * its answer. */
case class CallTokens(data: Double, output: Double)

/** What was counted of calls that ran: the rows that filters over their answers kept, and the tokens of their requests.
  *
  * After a query in which `llm('Is it spam?', body) = 'yes'` kept 12 of 400 rows, 0.03 is expected of it. Columns of
  * the same name count as the same, whatever their table and whatever ran below. At most 1000 filters and as many calls
  * are kept; those that were not used for longest go first. */
class Evidence {
  import Evidence._

  private val filters = new Recent[Rows]
  private val calls = new Recent[Requests]

  /** Later queries count more: what came before loses half of its weight. */
  def add(conditions: Seq[Expression], calls: Map[ExprId, LLMCall], rows: Long, kept: Long): Unit =
    if (rows > 0) key(conditions, calls).foreach { k =>
      filters.update(k) { old =>
        val before = old.getOrElse(Rows(0, 0))
        Rows(before.rows / 2 + rows, before.kept / 2 + kept)
      }
    }

  /** The same for the tokens of requests. */
  def add(call: LLMCall, others: Map[ExprId, LLMCall], requests: Long, data: Long, output: Long): Unit =
    if (requests > 0) calls.update(content(call, others)) { old =>
      val before = old.getOrElse(Requests(0, 0, 0))
      Requests(before.number / 2 + requests, before.data / 2 + data, before.output / 2 + output)
    }

  /** The share of rows that was kept, drawn towards `guess` where few were seen; None where none was. */
  def share(conditions: Seq[Expression], calls: Map[ExprId, LLMCall], guess: Double): Option[Double] =
    key(conditions, calls).flatMap(filters.get).map { seen =>
      math.min(1, (seen.kept + weight * guess) / (seen.rows + weight))
    }

  /** Means; None where no request was counted. */
  def tokens(call: LLMCall, others: Map[ExprId, LLMCall]): Option[CallTokens] =
    calls.get(content(call, others)).map(seen => CallTokens(seen.data / seen.number, seen.output / seen.number))
}

object Evidence {
  private val capacity = 1000
  /** The guess counts as much as this many rows. */
  private val weight = 2.0

  private case class Rows(rows: Double, kept: Double)
  private case class Requests(number: Double, data: Double, output: Double)

  private class Recent[V] {
    private val values = new LinkedHashMap[String, V](16, 0.75f, true) {
      override protected def removeEldestEntry(eldest: Entry[String, V]): Boolean = size > capacity
    }

    def get(key: String): Option[V] = synchronized(Option(values.get(key)))
    def update(key: String)(value: Option[V] => V): Unit =
      synchronized { values.put(key, value(Option(values.get(key)))): Unit }
  }

  /** Without ids and qualifiers, which differ in every query; None for a filter that reads a subquery. */
  private def key(conditions: Seq[Expression], calls: Map[ExprId, LLMCall]): Option[String] =
    if (conditions.exists(_.exists(_.isInstanceOf[PlanExpression[_]]))) None
    else {
      val texts = Selectivity.withoutNullChecks(conditions).map(named(_, calls).canonicalized.toString)
      Some(digest(texts.sorted.mkString(" AND ")).toString)
    }

  /** Every column with an id that is its name's, every answer with its call's. */
  private def named(e: Expression, calls: Map[ExprId, LLMCall]): Expression = e.transform {
    case a: Attribute =>
      val id = digest(calls.get(a.exprId).map(content(_, calls)).getOrElse(a.name.toLowerCase))
      AttributeReference("none", a.dataType)(ExprId(id.getMostSignificantBits, id))
  }

  /** A call is the same wherever its prompts have their data, and whatever becomes of its errors. */
  private def content(call: LLMCall, calls: Map[ExprId, LLMCall]): String = {
    val spec = call.spec.copy(dataFirst = None, onError = None)
    (Seq(LLMEval.model(call), spec.json) ++ call.fields.map(named(_, calls).canonicalized.toString)).mkString("\n")
  }

  private def digest(text: String): UUID = UUID.nameUUIDFromBytes(text.getBytes(UTF_8))
}

/** What earlier queries of this driver have shown. */
object Seen extends Evidence {
  /** None where `spark.sparkllm.optimizer.learnSelectivity` is off. */
  def apply(): Option[Evidence] = if (Setting.on("learnSelectivity")) Some(this) else None
}
