// The npm package "binance", for any of the three products; it logs on by itself if the key can.
import { WebsocketAPIClient } from "binance";
import { ended, hear, mailbox, tell } from "./test.mjs";

const { product, credentials, base, restUrl, symbol, quantity } = await hear();
const quiet = { trace() {}, info() {}, error: (...words) => console.error(...words) };
const client = new WebsocketAPIClient(
  {
    api_key: credentials.apiKey,
    api_secret: credentials.apiSecret ?? credentials.privateKey,
    wsUrl: base,
    restOptions: { baseUrl: restUrl },
    attachEventListeners: false,
    muteLatencyWarning: true,
  },
  quiet,
);
const sockets = client.getWSClient();
const market = { "USD-M": "usdm", "COIN-M": "coinm" }[product];
const events = mailbox();
sockets.on("message", (event) => ["ORDER_TRADE_UPDATE", "executionReport"].includes(event.e) && events.put(event));

const now = () => ({ timestamp: Date.now() });
const order = { symbol, side: "BUY", type: "LIMIT", timeInForce: "GTC", quantity: `${quantity}`, price: "59000.5" };
if (market) {
  const api = `${market}WSAPI`;
  tell("started", (await client.startUserDataStreamForKey({ apiKey: credentials.apiKey }, api)).result);
  await (market === "usdm" ? sockets.subscribeUsdFuturesUserDataStream() : sockets.subscribeCoinFuturesUserDataStream());
  tell("listening", null);
  await hear();
  const placed = (await client.submitNewFuturesOrder(market, { ...order, ...now() })).result;
  tell("placed", placed);
  tell("event", await events.next());
  const which = { symbol, orderId: placed.orderId };
  tell("shown", (await client.getFuturesOrderStatus(market, { ...which, ...now() })).result);
  tell("cancelled", (await client.cancelFuturesOrder(market, { ...which, ...now() })).result);
  tell("event", await events.next());
  tell("kept", (await client.pingUserDataStreamForKey({ apiKey: credentials.apiKey }, api)).result);
} else {
  await client.subscribeUserDataStream("mainWSAPI");
  const placed = (await client.submitNewSpotOrder({ ...order, ...now() })).result;
  tell("placed", placed);
  tell("event", await events.next());
  const which = { symbol, orderId: placed.orderId };
  tell("shown", (await client.getSpotOrderStatus({ ...which, ...now() })).result);
  tell("cancelled", (await client.cancelSpotOrder({ ...which, ...now() })).result);
  tell("event", await events.next());
}
ended();
