// What a JavaScript developer does first with a cluster: fund, create a mint, mint, transfer, look at it all.
// Prints one JSON document; the Python test beside this folder judges it.
import {
  AddressLookupTableProgram, Connection, Keypair, LAMPORTS_PER_SOL, PublicKey, SendTransactionError, SystemProgram, Transaction,
  TransactionMessage, VersionedTransaction, sendAndConfirmTransaction,
} from "@solana/web3.js";
import {
  TOKEN_PROGRAM_ID, createMint, getAccount, getMint, getOrCreateAssociatedTokenAccount, mintTo, transfer,
} from "@solana/spl-token";

const [rpcUrl, wsEndpoint] = process.argv.slice(2);
const connection = new Connection(rpcUrl, { commitment: "confirmed", wsEndpoint });
const out = {};
const owner = Keypair.generate();
const friend = Keypair.generate();

const slots = [];
const slotSubscription = connection.onSlotChange((slot) => slots.push(slot.slot));
const balances = [];
const accountSubscription = connection.onAccountChange(
  owner.publicKey, (account, context) => balances.push([context.slot, account.lamports]), { commitment: "confirmed" });

const latest = await connection.getLatestBlockhash();
const airdrop = await connection.requestAirdrop(owner.publicKey, 10 * LAMPORTS_PER_SOL);
out.airdropErr = (await connection.confirmTransaction({ signature: airdrop, ...latest }, "confirmed")).value.err;
out.ownerAfterAirdrop = await connection.getBalance(owner.publicKey);

const pay = new Transaction().add(SystemProgram.transfer({
  fromPubkey: owner.publicKey, toPubkey: friend.publicKey, lamports: 2 * LAMPORTS_PER_SOL,
}));
const paySignature = await sendAndConfirmTransaction(connection, pay, [owner]);
out.friend = await connection.getBalance(friend.publicKey);
out.payFee = (await connection.getTransaction(paySignature, { maxSupportedTransactionVersion: 0 })).meta.fee;

const mint = await createMint(connection, owner, owner.publicKey, null, 6);
const ownerTokens = await getOrCreateAssociatedTokenAccount(connection, owner, mint, owner.publicKey);
const friendTokens = await getOrCreateAssociatedTokenAccount(connection, owner, mint, friend.publicKey);
await mintTo(connection, owner, mint, ownerTokens.address, owner, 5_000_001n);
const transferSignature = await transfer(connection, owner, ownerTokens.address, friendTokens.address, owner, 1_250_000n);
out.supply = (await getMint(connection, mint)).supply.toString();
out.ownerTokens = (await getAccount(connection, ownerTokens.address)).amount.toString();
out.friendBalance = (await connection.getTokenAccountBalance(friendTokens.address)).value;

const parsedAccounts = await connection.getParsedTokenAccountsByOwner(friend.publicKey, { programId: TOKEN_PROGRAM_ID });
out.parsedAccounts = parsedAccounts.value.map(({ account }) => account.data.parsed.info.tokenAmount.uiAmountString);
const byMint = await connection.getProgramAccounts(TOKEN_PROGRAM_ID, {
  filters: [{ dataSize: 165 }, { memcmp: { offset: 0, bytes: mint.toBase58() } }],
});
out.byMint = byMint.map(({ pubkey }) => pubkey.toBase58()).sort();
out.tokenAddresses = [ownerTokens.address.toBase58(), friendTokens.address.toBase58()].sort();

const moved = await connection.getTransaction(transferSignature, { maxSupportedTransactionVersion: 0 });
const keys = moved.transaction.message.getAccountKeys().staticAccountKeys.map((key) => key.toBase58());
const amounts = (list) => Object.fromEntries(list.map((entry) => [keys[entry.accountIndex], entry.uiTokenAmount.amount]));
out.transfer = { pre: amounts(moved.meta.preTokenBalances), post: amounts(moved.meta.postTokenBalances) };
out.transferNames = { owner: ownerTokens.address.toBase58(), friend: friendTokens.address.toBase58() };
const parsed = await connection.getParsedTransaction(transferSignature, { maxSupportedTransactionVersion: 0 });
out.parsedSigner = parsed.transaction.message.accountKeys.filter((key) => key.signer).map((key) => key.pubkey.toBase58());
out.owner = owner.publicKey.toBase58();

// A version 0 transaction that names the friend through a lookup table only.
const [createTable, table] = AddressLookupTableProgram.createLookupTable({
  authority: owner.publicKey, payer: owner.publicKey, recentSlot: await connection.getSlot("finalized"),
});
const extendTable = AddressLookupTableProgram.extendLookupTable({
  lookupTable: table, authority: owner.publicKey, payer: owner.publicKey, addresses: [friend.publicKey, mint],
});
const tableSignature = await sendAndConfirmTransaction(connection, new Transaction().add(createTable, extendTable), [owner]);
const tableSlot = (await connection.getTransaction(tableSignature, { maxSupportedTransactionVersion: 0 })).slot;
while (await connection.getSlot("confirmed") <= tableSlot) await new Promise((resolve) => setTimeout(resolve, 10));
const lookup = (await connection.getAddressLookupTable(table)).value;
const recent = await connection.getLatestBlockhash();
const short = new VersionedTransaction(new TransactionMessage({
  payerKey: owner.publicKey, recentBlockhash: recent.blockhash,
  instructions: [SystemProgram.transfer({ fromPubkey: owner.publicKey, toPubkey: friend.publicKey, lamports: 7 })],
}).compileToV0Message([lookup]));
short.sign([owner]);
const shortSignature = await connection.sendTransaction(short);
await connection.confirmTransaction({ signature: shortSignature, ...recent }, "confirmed");
const viaTable = await connection.getTransaction(shortSignature, { maxSupportedTransactionVersion: 0 });
out.loaded = viaTable.meta.loadedAddresses.writable.map((key) => key.toBase58());
out.ownKeys = viaTable.transaction.message.staticAccountKeys.length;
out.viaTable = viaTable.meta.postBalances.map((after, index) => after - viaTable.meta.preBalances[index]);
out.friendKey = friend.publicKey.toBase58();
out.friendHistory = (await connection.getSignaturesForAddress(friend.publicKey, { limit: 1 }))[0].signature === shortSignature;

const blockhash = await connection.getLatestBlockhash();
const tooMuch = new VersionedTransaction(new TransactionMessage({
  payerKey: owner.publicKey, recentBlockhash: blockhash.blockhash,
  instructions: [SystemProgram.transfer({
    fromPubkey: owner.publicKey, toPubkey: friend.publicKey, lamports: 1000 * LAMPORTS_PER_SOL })],
}).compileToV0Message());
tooMuch.sign([owner]);
try {
  await connection.sendTransaction(tooMuch);
} catch (error) {
  out.preflight = { isSendTransactionError: error instanceof SendTransactionError, logs: error.logs, text: error.message };
}
const sunk = await connection.sendTransaction(tooMuch, { skipPreflight: true });
try {
  out.sunkErr = (await connection.confirmTransaction({ signature: sunk, ...blockhash }, "confirmed")).value.err;
} catch (error) {
  // web3.js throws the error itself when it sees the status before the subscription tells it.
  out.sunkErr = error;
}
const untried = new Transaction().add(SystemProgram.transfer({
  fromPubkey: owner.publicKey, toPubkey: friend.publicKey, lamports: LAMPORTS_PER_SOL,
}));
out.simulatedUnits = (await connection.simulateTransaction(untried, [owner])).value.unitsConsumed;
// web3.js keeps a blockhash for a while, so this is the very transaction that has landed.
out.again = (await connection.simulateTransaction(pay)).value.err;
out.signatures = (await connection.getSignaturesForAddress(owner.publicKey)).map((entry) => entry.signature);
out.newest = sunk;
out.nobody = await connection.getAccountInfo(PublicKey.unique());

await connection.removeSlotChangeListener(slotSubscription);
await connection.removeAccountChangeListener(accountSubscription);
out.slotsRise = slots.length > 3 && slots.every((slot, index) => index === 0 || slot > slots[index - 1]);
out.balances = balances.map(([, lamports]) => lamports);
out.finalBalance = await connection.getBalance(owner.publicKey);
console.log(JSON.stringify(out));
process.exit(0);
