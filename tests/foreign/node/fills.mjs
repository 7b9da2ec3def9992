// A bot whose order rests, until somebody else says that it is filled.
import { DerivativesTradingCoinFutures } from "@binance/derivatives-trading-coin-futures";
import { ended, hear, mailbox, tell } from "./test.mjs";

const { credentials, url, base, symbol } = await hear();
const client = new DerivativesTradingCoinFutures({
  configurationWebsocketAPI: { ...credentials, wsURL: url },
  configurationWebsocketStreams: { wsURL: base },
});
const api = await client.websocketAPI.connect();
const { listenKey } = (await api.startUserDataStream()).data;
const streams = await client.websocketStreams.connect();
const events = mailbox();
streams.userData(listenKey).on("message", (event) => event.e === "ORDER_TRADE_UPDATE" && events.put(event.o));
tell("listening", null);
await hear();

const order = { symbol, side: "BUY", type: "LIMIT", timeInForce: "GTC", quantity: 2, price: 59000.5 };
await api.newOrder({ ...order, newClientOrderId: "mine" });
tell("placed", null);
for (;;) {
  const { c, X, z } = await events.next();
  if (c === "mine" && X !== "NEW") tell("event", [X, z]);
  if (X === "FILLED") break;
}
ended();
