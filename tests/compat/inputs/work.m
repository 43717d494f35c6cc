% What Octave programs are made of. Prints what comes of it.
a = reshape(mod((1:90000) * 7919, 10007), 300, 300) / 1e4;
printf("%.6f %.6f\n", sum(sum(a * a')), max(abs(eig(a + a'))));
printf("%.6f\n", norm(a \ ones(300, 1)) > 0, abs(fft(a(:))(5)));
s = sparse(mod((1:5000) * 31, 1000) + 1, mod((1:5000) * 37, 1000) + 1, 1:5000, 1000, 1000);
printf("%d %g\n", nnz(s), full(sum(s(:))));
c = cell(1, 5000);
for i = 1:5000, c{i} = repmat('x', 1, mod(i, 50)); end
printf("%d %s\n", sum(cellfun(@numel, c)), regexprep('ab12', '(\w)(\d)', '$2$1'));
m = containers.Map('KeyType', 'double', 'ValueType', 'any');
for i = 1:500, m(i) = num2str(i); end
printf("%d %s\n", m.Count, m(42));
try, zeros(1e6, 1e6); catch e, disp(e.message); end
