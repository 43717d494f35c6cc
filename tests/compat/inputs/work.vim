" What vim scripts are made of. Writes the text and a report of what came of it.
set nomore undolevels=1000
let s:report = []

%s/line \(\d\+\)/\=printf('%05d', submatch(1) * 7919 % 20011)/
sort
call add(s:report, getline(1) . ' | ' . getline('$'))
g/7$\|^0.*1 /d
call add(s:report, 'after :g ' . line('$'))
undo
call add(s:report, 'after undo ' . line('$'))
redo

normal! gg
let @q = "A, changed\<Esc>j"
normal! 500@q
normal! ggyG
$put
call add(s:report, 'after put ' . line('$'))
1,1000!sort -r
v/changed/normal! x
syntax on
set filetype=c

let s:words = {}
for s:line in getline(1, 3000)
    for s:word in split(s:line, '[ ,]\+')
        let s:words[s:word] = get(s:words, s:word, 0) + 1
    endfor
endfor
call add(s:report, len(s:words) . ' words, the most frequent ' . max(values(s:words)))
let s:list = map(range(20000), 'repeat("x", v:val % 50)')
call add(s:report, len(join(uniq(sort(s:list)), '')))

split other
call setline(1, map(range(1, 5000), 'v:val . " " . v:val * v:val'))
%s/\v(\d+) (\d+)/\2 \1/
write
bdelete!
call add(s:report, system('echo from a shell'))
call add(s:report, json_encode({'a': [1, 2.5, v:null], 'b': 'text'}))
call writefile(s:report, 'report')
write
qall!
