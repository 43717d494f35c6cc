-- What Haskell programs are made of. Prints what comes of it.
import Control.Concurrent
import Control.Monad
import qualified Data.Map.Strict as M
import Data.Char (toUpper)
import Foreign

churn :: Int -> Int
churn seed = sum (M.elems (foldl step M.empty (take 20000 (iterate next seed))))
  where
    next s = (s * 1103515245 + 12345) `mod` 2147483648
    step m s = M.insert (s `mod` 1000) (s `mod` 3000) m

main :: IO ()
main = do
  print (churn 1)
  results <- forM [1 .. 8] $ \i -> do
    box <- newEmptyMVar
    _ <- forkOS (putMVar box $! churn i)
    return box
  mapM takeMVar results >>= print . sum
  blocks <- forM [1 .. 2000] $ \n -> do
    p <- mallocBytes n :: IO (Ptr Word8)
    poke p (fromIntegral n)
    return p
  mapM peek blocks >>= print . sum . map fromIntegral . (id :: [Word8] -> [Word8]) >> mapM_ free blocks
  sums <- forM [1 .. 1000] $ \n -> allocaBytes (n * 8) $ \p -> pokeArray p [1 .. n] >> sum <$> peekArray n (p :: Ptr Int)
  print (sum sums :: Int)
  print (product [1 .. 200 :: Integer] `mod` 10 ^ (40 :: Int))
  putStrLn (map toUpper (unwords (take 10 (words (concatMap ((++ " ") . show) [1 .. 50000 :: Int])))))
