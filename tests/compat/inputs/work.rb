# What Ruby programs are made of. Prints what comes of it.
require 'digest'
require 'json'
require 'set'
require 'stringio'
require 'zlib'

live = {}
state = 1
100_000.times do |i|
  state = (state * 1_103_515_245 + 12_345) % 2**31
  live[state % 1000] = [state.to_s * (state % 30), (0..state % 50).to_a, "\0" * (state % 3000)]
end
puts live.values.sum { |text, numbers, data| text.size + numbers.sum + data.size }

document = (0...5000).map { |i| { 'id' => i, 'name' => "näme #{i}", 'values' => [i / 8.0, nil, true] } }
text = JSON.generate(document)
puts text.size, JSON.parse(text) == document, JSON.pretty_generate(document).size
puts text.gsub(/\d+/) { |m| m.reverse + '!' }.size, text.scan(/e \d*7"/).size
puts Digest::SHA256.hexdigest(Zlib.inflate(Zlib.deflate(text)))
puts Marshal.load(Marshal.dump(document)) == document
puts (1..100).inject(:*), 2**1000 % 10**30, Rational(1, 3) + Complex(1, 2)

queue = Queue.new
200.times { |i| queue << i }
sums = 8.times.map do
  Thread.new do
    sum = 0
    until queue.empty?
      i = begin queue.pop(true) rescue break end
      sum += ('x' * i).size
    end
    sum
  end
end
puts sums.sum(&:value)

fiber = Fiber.new { 1000.times { |i| Fiber.yield 'f' * i }; :done }
size = 0
while (value = fiber.resume) != :done do size += value.size end
puts size
puts Enumerator.produce([0, 1]) { |a, b| [b, a + b] }.lazy.map(&:first).select(&:even?).first(20).last
puts (1..20000).lazy.map { |i| i.to_s }.to_set.size

10.times do |i|
  pid = fork { live.clear; GC.start; exit! i }
  print Process.wait2(pid)[1].exitstatus, ' '
end
puts `seq 1000 | tail -n 1`
GC.start
GC.compact if GC.respond_to?(:compact)
puts ObjectSpace.each_object(Class).count > 300
begin
  'x' * (2**62)
rescue ArgumentError, NoMemoryError => e
  puts e.class
end
