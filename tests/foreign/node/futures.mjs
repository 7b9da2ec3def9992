// The official client for USD-M or COIN-M.
import { DerivativesTradingCoinFutures } from "@binance/derivatives-trading-coin-futures";
import { DerivativesTradingUsdsFutures } from "@binance/derivatives-trading-usds-futures";
import { ended, hear, mailbox, tell } from "./test.mjs";

const { product, credentials, url, base, symbol, quantity } = await hear();
const Client = product === "USD-M" ? DerivativesTradingUsdsFutures : DerivativesTradingCoinFutures;
const client = new Client({
  configurationWebsocketAPI: { ...credentials, wsURL: url },
  configurationWebsocketStreams: { wsURL: base },
});
const api = await client.websocketAPI.connect();
const { listenKey } = (await api.startUserDataStream()).data;
const streams = await client.websocketStreams.connect();
const events = mailbox();
streams.userData(listenKey).on("message", events.put);
tell("listening", null);
await hear();

const order = { symbol, side: "BUY", type: "LIMIT", timeInForce: "GTC", quantity, price: 59000.5 };
const placed = (await api.newOrder(order)).data;
tell("placed", placed);
tell("event", await events.next());
const which = { symbol, orderId: placed.orderId };
tell("shown", (await api.queryOrder(which)).data);
tell("cancelled", (await api.cancelOrder(which)).data);
tell("event", await events.next());
tell("kept", (await api.keepaliveUserDataStream()).data);
tell("balance", (await api.futuresAccountBalance()).data);
ended();
