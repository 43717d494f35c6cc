%% What Erlang programs are made of. Prints what comes of it.
-module(work).
-export([main/0]).

main() ->
    Self = self(),
    [spawn(fun() -> Self ! {sum, lists:sum(lists:seq(1, N))} end) || N <- lists:seq(1, 5000)],
    io:format("~p~n", [lists:sum([receive {sum, S} -> S end || _ <- lists:seq(1, 5000)])]),
    Table = ets:new(table, [ordered_set]),
    [ets:insert(Table, {N * 7919 rem 20011, integer_to_binary(N)}) || N <- lists:seq(1, 20000)],
    io:format("~p ~p~n", [ets:info(Table, size), ets:lookup(Table, 42)]),
    Text = iolist_to_binary([integer_to_list(N) || N <- lists:seq(1, 100000)]),
    io:format("~p ~p~n", [byte_size(Text), erlang:crc32(zlib:uncompress(zlib:compress(Text)))]),
    io:format("~p~n", [length(re:split(Text, "9+", [{return, binary}]))]),
    io:format("~p~n", [erlang:phash2(binary_to_term(term_to_binary(maps:from_list([{N, Text} || N <- lists:seq(1, 20)]))))]),
    io:format("~s", [os:cmd("seq 1000 | tail -n 1")]),
    io:format("~p~n", [catch list_to_atom(lists:duplicate(300, $a))]).
