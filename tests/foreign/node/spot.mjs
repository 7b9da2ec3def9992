// The official client for Spot, logged on if the key can.
import { Spot } from "@binance/spot";
import { ended, hear, mailbox, tell } from "./test.mjs";

const { credentials, logon, url, symbol, quantity } = await hear();
const client = new Spot({ configurationWebsocketAPI: { ...credentials, wsURL: url } });
const api = await client.websocketAPI.connect();
if (logon) tell("logon", (await api.sessionLogon())[0].data);
const events = mailbox();
const { stream } = await (logon ? api.userDataStreamSubscribe() : api.userDataStreamSubscribeSignature());
// What becomes of an order, and not what it does to the balances.
stream.on("message", (event) => event.e === "executionReport" && events.put(event));

const order = { symbol, side: "BUY", type: "LIMIT", timeInForce: "GTC", quantity, price: 59000.5 };
const placed = (await api.orderPlace(order)).data;
tell("placed", placed);
tell("event", await events.next());
const which = { symbol, orderId: placed.orderId };
tell("shown", (await api.orderStatus(which)).data);
tell("cancelled", (await api.orderCancel(which)).data);
tell("event", await events.next());
ended();
